#include "relay/cli/status_snapshot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace tiercast::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string text(const Json& of, const char* name) { return of.value(name, std::string{}); }
std::uint64_t number(const Json& of, const char* name) { return of.value(name, std::uint64_t{0}); }
std::optional<double> maybe(const Json& of, const char* name) {
  const auto at = of.find(name);
  if (at == of.end() || at->is_null()) return std::nullopt;
  return at->get<double>();
}

Counters counters(const Json& of) {
  Counters out;
  if (of.contains("counters")) out = of["counters"].get<Counters>();
  return out;
}

std::string multicast_name(const Json& j) { return text(j, "group") + " on " + text(j, "interface"); }

Snapshot::Listen::Passage passage(const Json& of, const char* name) {
  Snapshot::Listen::Passage out;
  const auto at = of.find(name);
  if (at == of.end()) return out;
  out.frames = number(*at, "frames");
  out.median_ms = at->value("p50_us", 0.0) / 1000;
  out.p99_ms = at->value("p99_us", 0.0) / 1000;
  out.most_ms = at->value("max_us", 0.0) / 1000;
  return out;
}

Snapshot::Listen listen(const Json& j) {
  Snapshot::Listen out;
  for (const auto& address : j.value("addresses", std::vector<std::string>{}))
    out.addresses += (out.addresses.empty() ? "" : ", ") + address;
  out.leases = number(j, "leases");
  out.max_leases = number(j, "max_leases");
  if (const auto multicast = j.find("multicast"); multicast != j.end()) {
    out.multicast = multicast_name(*multicast);
    out.by_multicast = number(*multicast, "leases");
  }
  if (const auto backend = j.find("backend"); backend != j.end() && backend->is_object()) {
    out.backend = text(*backend, "name");
    out.backend_why = backend->value("why", std::string{});
    out.direct = backend->value("direct", std::uint64_t{0});
    const Json detours = backend->value("detours", Json::object());
    for (const auto& [why, listeners] : detours.items())
      if (listeners != 0) out.detours.push_back(fmt::format("{} {}", listeners.get<std::uint64_t>(), why));
  }
  if (const auto load = j.find("load"); load != j.end()) {
    out.load = load->value("share", 0.0);
    out.full_at = load->value("full_at", 1.0);
    out.standing_by = load->value("standing_by", std::uint64_t{0});
    out.taken_up = load->value("share_taken_up", 0.0);
    out.full_taken_up_at = load->value("full_taken_up_at", 1.0);
    if (load->contains("room")) out.room = number(*load, "room");
  }
  out.listeners = number(j, "listeners");
  const Json ways = j.value("passage", Json::object());
  out.hand_off = passage(ways, "hand_off");
  out.first_send = passage(ways, "first_send");
  out.last_send = passage(ways, "last_send");
  out.worker_quiet_ms = j.value("worker_quiet_ms", std::vector<double>{});
  for (const auto& loss : j.value("listeners_by_loss", Json::array()))
    out.by_loss.push_back({loss.at("up_to").get<double>(), number(loss, "listeners")});
  return out;
}

Snapshot::Parent parent(const Json& j) {
  Snapshot::Parent out;
  out.address = text(j, "address");
  out.state = text(j, "state");
  out.denied = text(j, "denied");
  out.problem = text(j, "problem");
  out.answers = j.value("answers", false);
  out.seeking = j.value("seeking", false);
  out.round_trip_ms = maybe(j, "round_trip_ms");
  out.loss = j.value("loss", 0.0);
  out.datagrams = number(j, "datagrams");
  if (const auto multicast = j.find("multicast"); multicast != j.end()) {
    out.multicast = multicast_name(*multicast);
    out.by_multicast = multicast->value("delivers", false);
    out.multicast_problem = multicast->value("problem", std::string{});
    out.datagrams += number(*multicast, "datagrams");
  }
  out.counters = counters(j);
  return out;
}

Snapshot::Input input(const Json& j) {
  Snapshot::Input out;
  out.kind = text(j, "kind");
  out.from = text(j, "from");
  out.last_refused = text(j, "last_refused");
  out.age_ms = maybe(j, "age_ms");
  out.bits_per_second = number(j, "bits_per_second");
  out.lost = number(j, "lost");
  return out;
}

Snapshot::Group group(const Json& j) {
  Snapshot::Group out;
  out.name = text(j, "name");
  out.id = number(j, "id");
  out.ended = j.value("ended", false);
  out.subscribed = j.value("subscribed", false);
  if (j.contains("input")) out.input = input(j["input"]);
  for (const auto& one : j.value("sources", Json::array()))
    out.sources.push_back(
        {number(one, "id"), one.value("active", false), one.value("good", false), maybe(one, "age_ms")});
  if (const auto align = j.find("align"); align != j.end())
    out.align = {number(*align, "source"), text(*align, "by"), text(*align, "state"), text(*align, "denied"),
                 align->value("off_ticks", std::int64_t{0})};
  out.last_frame_ms = maybe(j, "last_frame_ms");
  out.latency_ms = maybe(j, "latency_ms");
  const Json tally = j.value("tally", Json::object());
  out.listeners = number(tally, "listeners");
  out.relays = number(tally, "relays");
  if (j.contains("epoch")) out.epoch = number(j, "epoch");
  out.epoch_known = j.value("epoch_known", true);
  out.counters = counters(j);
  out.frames = out.input ? number(j, "sealed") : count(out.counters, "intake_frame");
  out.audio_bytes = number(j, "audio_bytes");
  out.recording_problem = text(j.value("recording", Json::object()), "problem");
  return out;
}

Snapshot::Child child(const Json& j) {
  Snapshot::Child out;
  out.name = text(j, "name");
  out.address = text(j, "address");
  out.seen = j.contains("loss");
  out.counted_here = j.value("counted_here", false);
  out.listeners = number(j, "listeners");
  out.relays = number(j, "relays");
  out.loss = j.value("loss", 0.0);
  out.round_trip_ms = j.value("round_trip_ms", 0.0);
  return out;
}

}  // namespace

tl::expected<Snapshot, std::string> read_snapshot(const Json& j) try {
  Snapshot out;
  const Json& node = j.at("node");
  out.version = text(j, "version");
  out.name = text(node, "name");
  out.id = text(node, "id");
  out.role = text(node, "role");
  out.uptime_ms = node.value("uptime_ms", 0.0);
  out.started_unix_ms = node.value("started_unix_ms", std::int64_t{0});
  out.seeking = node.value("seeking", false);
  if (j.contains("draining")) {
    const Json& drain = j["draining"];
    out.drain = {drain.value("leases", std::uint64_t{0}), drain.value("staying", std::uint64_t{0}),
                 drain.value("seconds_left", 0.0)};
  }
  if (j.contains("listen")) out.listen = listen(j["listen"]);
  for (const auto& one : j.at("upstreams")) out.parents.push_back(parent(one));
  out.live_parents = std::min<std::size_t>(node.value("parents", out.parents.size()), out.parents.size());
  for (const auto& one : j.at("groups")) out.groups.push_back(group(one));
  for (const auto& one : j.value("children", Json::array())) out.children.push_back(child(one));
  out.counters = counters(j);
  return out;
} catch (const Json::exception&) {  // the only way in which the library says so
  return tl::unexpected<std::string>{"the answer is not a status that this version reads"};
}

Interval::Interval(const Snapshot& now, const Snapshot* before) : now_(now), before_(before) {
  if (before_ == nullptr) return;
  seconds_ = (now.uptime_ms - before_->uptime_ms) / 1000;
  const bool same = before_->id == now.id && before_->started_unix_ms == now.started_unix_ms;
  if (!same || !(seconds_ > 0)) before_ = nullptr;
}

std::optional<double> Interval::per_second(std::uint64_t now, std::optional<std::uint64_t> before) const {
  if (before_ == nullptr || !before || now < *before) return std::nullopt;
  return static_cast<double>(now - *before) / seconds_;
}

std::optional<double> Interval::per_second(const std::string& counter) const {
  if (before_ == nullptr) return std::nullopt;
  return per_second(count(now_.counters, counter), count(before_->counters, counter));
}

const Snapshot::Parent* Interval::before(const Snapshot::Parent& parent) const {
  if (before_ == nullptr) return nullptr;
  const auto at = std::find_if(before_->parents.begin(), before_->parents.end(),
                               [&](const auto& other) { return other.address == parent.address; });
  return at == before_->parents.end() ? nullptr : &*at;
}

const Snapshot::Group* Interval::before(const Snapshot::Group& group) const {
  if (before_ == nullptr) return nullptr;
  const auto at = std::find_if(before_->groups.begin(), before_->groups.end(),
                               [&](const auto& other) { return other.id == group.id; });
  return at == before_->groups.end() ? nullptr : &*at;
}

std::uint64_t count(const Counters& counters, const std::string& name) {
  const auto at = counters.find(name);
  return at == counters.end() ? 0 : at->second;
}

}  // namespace tiercast::cli
