#include "relay/cli/status_text.hpp"

#include <fmt/format.h>

namespace tiercast::cli {
namespace {

using Json = nlohmann::ordered_json;

std::uint64_t count(const Json& counters, const char* name) { return counters.value(name, std::uint64_t{0}); }

void write_drops(std::string& out, const Json& counters, const std::string& where) {
  for (const auto& [name, value] : counters.items()) {
    if (name.find("_drop_") == std::string::npos || value == 0) continue;
    out += fmt::format("  {:<10} {:<40} {:>12}\n", where, name, value.get<std::uint64_t>());
  }
}

void write_group(std::string& out, const Json& group) {
  const Json& tally = group["tally"];
  out += fmt::format("group {} (id {})  {} ms  {}  newest {}  listeners {}  relays {}{}\n", group["name"].get<std::string>(),
                     group["id"].get<unsigned>(), group["frame_ms"].get<int>(), group["role"].get<std::string>(),
                     group["newest"].get<std::uint64_t>(), tally["listeners"].get<unsigned>(),
                     tally["relays"].get<unsigned>(), group.value("ended", false) ? "  ENDED" : "");
  const Json& counters = group["counters"];
  if (group.contains("input")) {
    const Json& input = group["input"];
    const std::string age = input["age_ms"].is_null() ? "none yet" : fmt::format("{:.0f} ms ago", input["age_ms"].get<double>());
    out += fmt::format("  input {} {}: last packet {}, {:.1f} kbit/s, lost {}, reordered {}; sealed {}, epoch {}\n",
                       input["kind"].get<std::string>(), input["from"].get<std::string>(), age,
                       input["bits_per_second"].get<double>() / 1000, input["lost"].get<std::uint64_t>(),
                       input["reordered"].get<std::uint64_t>(), group["sealed"].get<std::uint64_t>(),
                       group.value("epoch", std::uint64_t{0}));
    if (input.contains("last_refused")) out += fmt::format("  input refused: {}\n", input["last_refused"].get<std::string>());
  } else {
    out += fmt::format("  received {}, duplicates {}, missed {}, repaired {}, lost {}\n", count(counters, "intake_frame"),
                       count(counters, "intake_duplicate"), count(counters, "repair_missing"),
                       count(counters, "repair_repaired"), count(counters, "repair_given_up"));
  }
  out += "  epochs:";
  for (const auto& epoch : group["epochs"])
    out += fmt::format(" {}/{}", epoch["source"].get<unsigned>(), epoch["epoch"].get<std::uint64_t>());
  out += "\n";
}

}  // namespace

std::string status_text(const Json& s) {
  std::string out;
  const Json& node = s["node"];
  out += fmt::format("{}  id {}  up {} s  tiercast {}\n", node["name"].get<std::string>(), node["id"].get<std::string>(),
                     node["uptime_s"].get<std::int64_t>(), s["version"].get<std::string>());
  if (s.contains("listen")) {
    const Json& listen = s["listen"];
    std::string addresses;
    for (const auto& address : listen["addresses"])
      addresses += (addresses.empty() ? "" : ", ") + address.get<std::string>();
    out += fmt::format("listening on {}  leases {} of {}  workers {}  backend {}\n", addresses,
                       listen["leases"].get<std::uint64_t>(), listen["max_leases"].get<std::uint64_t>(),
                       listen["workers"].get<unsigned>(), listen["backend"].get<std::string>());
  }
  for (const auto& parent : s["upstreams"]) {
    out += fmt::format("parent {:<28} {:<8}", parent["address"].get<std::string>(), parent["state"].get<std::string>());
    if (parent.contains("round_trip_ms")) out += fmt::format(" round trip {:.2f} ms", parent["round_trip_ms"].get<double>());
    if (parent.contains("denied")) out += " " + parent["denied"].get<std::string>();
    if (parent.contains("problem")) out += " " + parent["problem"].get<std::string>();
    out += "\n";
  }
  for (const auto& group : s["groups"]) write_group(out, group);
  const Json& counters = s["counters"];
  out += fmt::format("sent {} datagrams to listeners, {} to relays; resent {}\n", count(counters, "fanout_datagram"),
                     count(counters, "fanout_relay_datagram"), count(counters, "resend_frame"));
  const Json& memory = s["memory"];
  out += fmt::format("memory: resident {:.1f} MB, history {:.1f} MB, leases {:.1f} MB\n", memory["resident"].get<double>() / 1e6,
                     memory["history"].get<double>() / 1e6, memory["leases"].get<double>() / 1e6);
  std::string drops;
  write_drops(drops, counters, "node");
  for (const auto& group : s["groups"]) write_drops(drops, group["counters"], group["name"].get<std::string>());
  for (const auto& parent : s["upstreams"]) write_drops(drops, parent["counters"], "parent");
  out += drops.empty() ? "dropped: nothing\n" : "dropped:\n" + drops;
  return out;
}

}  // namespace tiercast::cli
