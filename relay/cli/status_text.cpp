#include "relay/cli/status_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "relay/cli/status_judgement.hpp"

namespace tiercast::cli {
namespace {

using Lines = std::vector<Line>;
using Parent = Snapshot::Parent;
using Group = Snapshot::Group;
using Child = Snapshot::Child;

constexpr std::size_t kAlso = 4;    // complaints beside the worst one
constexpr std::size_t kDrops = 12;  // lines of them

// --- numbers ---

std::string whole(std::uint64_t n, std::size_t width) {
  constexpr std::string_view kUnits = "kMGTPE";
  std::string text = std::to_string(n);
  auto value = static_cast<double>(n);
  for (std::size_t i = 0; text.size() > width && i < kUnits.size(); ++i)
    text = fmt::format("{:.1f}{}", value /= 1000, kUnits[i]);
  return text;
}

std::string rate(std::optional<double> per_second) {
  if (!per_second) return "-";
  return *per_second < 1e7 ? fmt::format("{:.1f}", *per_second)
                           : whole(static_cast<std::uint64_t>(std::min(*per_second, 1e18)), 9);
}

std::string percent(double share) {
  if (share <= 0) return "0 %";
  return share < 0.0005 ? "<0.1 %" : fmt::format("{:.1f} %", std::min(share, 1.0) * 100);
}

std::string milliseconds(double ms) {
  const double size = std::abs(ms);
  if (size >= 1e4) return fmt::format("{:.3g} s", ms / 1000);
  return size >= 100 ? fmt::format("{:.0f} ms", ms)
         : size >= 1 ? fmt::format("{:.1f} ms", ms)
                     : fmt::format("{:.2f} ms", ms);
}

std::string uptime(double ms) {
  const auto seconds = static_cast<std::uint64_t>(std::clamp(ms / 1000, 0.0, 1e12));
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (seconds < 3600) return fmt::format("{} min", seconds / 60);
  if (seconds < 86400) return fmt::format("{} h {} min", seconds / 3600, seconds / 60 % 60);
  return fmt::format("{} d {} h", seconds / 86400, seconds / 3600 % 24);
}

// --- parts ---

Line header(std::string text) { return {{std::move(text), Style::dim}}; }

void write_indented(Lines& out, const std::string& word, const std::string& text) {
  std::string first = "  " + word;
  for (const auto& part : wrapped(text, kStatusColumns - first.size())) {
    out.push_back({{first + part}});
    first.assign(first.size(), ' ');
  }
}

void write_verdict(Lines& out, const Interval& status) {
  const Snapshot& s = status.now();
  const auto complaints = judge(status);
  const std::string node =
      fmt::format("{} {} {} up {}: ", shortened(s.name, 16), shortened(s.role.empty() ? "node" : s.role, 8),
                  shortened(s.version, 12), uptime(s.uptime_ms));
  if (complaints.empty()) {
    out.push_back({{node}, {"ok", Style::good}});
    return;
  }
  const Complaint& worst = complaints.front();
  const Style style = worst.wrong < Wrong::parent_missing ? Style::bad : Style::warn;
  const std::size_t room = kStatusColumns - node.size();
  out.push_back({{node}, {shortened(worst.text, room), style}});
  if (worst.text.size() > room) write_indented(out, "", worst.text);
  write_indented(out, "-> ", worst.advice);
  for (std::size_t i = 1; i < std::min(complaints.size(), 1 + kAlso); ++i)
    out.push_back({{shortened("  also: " + complaints[i].text, kStatusColumns), Style::warn}});
  if (complaints.size() > 1 + kAlso)
    out.push_back({{fmt::format("  also: {} more", complaints.size() - 1 - kAlso), Style::warn}});
}

const std::string& shown_state(const Parent& parent) {
  static const std::string seeking = "seeking", multicast = "multicast";
  if (!parent.as_wanted() || parent.state == "reserve") return parent.state;
  return parent.seeking ? seeking : parent.live() && parent.by_multicast ? multicast : parent.state;
}

void write_parents(Lines& out, const Interval& status) {
  const auto& parents = status.now().parents;
  if (parents.empty()) return;
  out.push_back(header(left("parents", 44) + left("state", 9) + right("round trip", 10) + right("loss", 10) +
                       right("datagrams/s", 14)));
  for (const Parent& parent : parents) {
    const Parent* before = status.before(parent);
    const auto datagrams = before ? status.per_second(parent.datagrams, before->datagrams) : std::nullopt;
    const Style style = !parent.as_wanted() ? Style::bad
                        : parent.seeking    ? Style::warn
                        : parent.live()     ? Style::good
                                            : Style::dim;
    out.push_back({{left(parent.address, 43) + " "},
                   {left(shown_state(parent), 9), style},
                   {right(parent.round_trip_ms ? milliseconds(*parent.round_trip_ms) : "-", 10) +
                    right(parent.round_trip_ms ? percent(parent.loss) : "-", 10) + right(rate(datagrams), 14)}});
  }
}

Piece health(const Interval& status, const Group& group, std::optional<double> frames, std::optional<double> kbit) {
  if (group.ended) return {"ended", Style::dim};
  if (group.input) {
    const Snapshot::Input& input = *group.input;
    if (!input.age_ms)
      return {input.last_refused.empty() ? input.kind + " none yet" : input.kind + " refused", Style::bad};
    if (*input.age_ms > kInputSilentMs) return {input.kind + " silent " + uptime(*input.age_ms), Style::bad};
    const Group* before = status.before(group);
    const auto lost = before && before->input ? status.per_second(input.lost, before->input->lost) : std::nullopt;
    if (lost.value_or(0) > 0) return {fmt::format("{} loses {:.0f}/s", input.kind, *lost), Style::warn};
    return {input.kind + " ok", Style::good};
  }
  if (!group.subscribed) return {"not wanted", Style::dim};
  if (!group.epoch_known) return {"epoch unknown", Style::bad};
  if (group.last_frame_ms.value_or(status.now().uptime_ms) > kGroupSilentMs) return {"no frames", Style::bad};
  if (!frames) return {"-"};
  return kbit.value_or(0) > 0 ? Piece{"audio", Style::good} : Piece{"frames, no audio", Style::warn};
}

/// "1 active, 2 ready".
std::string sources_text(const Group& group) {
  std::string text;
  for (const auto& source : group.sources) {
    text += (text.empty() ? "" : ", ") + std::to_string(source.id);
    if (source.active) {
      text += " active";
    } else if (!source.age_ms) {
      text += " not heard here";
    } else {
      text += source.good                       ? " ready"
              : *source.age_ms > kGroupSilentMs ? " silent " + uptime(*source.age_ms)
                                                : " unsteady";
    }
  }
  return text;
}

Line align_line(const Group& group) {
  const Snapshot::Align& align = *group.align;
  const std::string begin = "  " + shortened(group.name, 18) + ": ";
  const std::string other = "source " + std::to_string(align.source);
  if (align.aligned()) return {{begin + "numbered as " + other + ", by " + align.by, Style::good}};
  if (align.off_ticks != 0)
    return {{begin + fmt::format("{} is {} frames off, which it has to mend", other, align.off_ticks), Style::warn}};
  if (align.by == "alone") return {{begin + "alone: " + other + " is not there", Style::bad}};
  return {{begin + "not numbered as " + other + " yet", Style::warn}};
}

void write_sources(Lines& out, const Interval& status) {
  for (const Group& group : status.now().groups) {
    if (!group.sources.empty()) out.push_back({{"  " + shortened(group.name, 18) + ": source " + sources_text(group)}});
    if (group.align) out.push_back(align_line(group));
  }
}

void write_groups(Lines& out, const Interval& status) {
  out.push_back(header(left("groups", 18) + right("id", 9) + right("frames/s", 9) + right("kbit/s", 8) +
                       right("listeners", 11) + right("relays", 7) + right("epoch", 11) + right("latency", 9) +
                       "  input"));
  for (const Group& group : status.now().groups) {
    const Group* before = status.before(group);
    const auto frames = before ? status.per_second(group.frames, before->frames) : std::nullopt;
    auto kbit = before ? status.per_second(group.audio_bytes, before->audio_bytes) : std::nullopt;
    if (kbit) *kbit *= 8.0 / 1000;
    if (group.input) kbit = static_cast<double>(group.input->bits_per_second) / 1000;
    Piece input = health(status, group, frames, kbit);
    input.text = shortened(input.text, 16);
    const std::string latency = !group.latency_ms       ? "-"
                                : *group.latency_ms < 0 ? "relative"
                                                        : milliseconds(*group.latency_ms);
    out.push_back({{left(group.name, 18) + right(whole(group.id, 8), 9) + right(rate(frames), 9) +
                    right(rate(kbit), 8) + right(whole(group.listeners, 10), 11) + right(whole(group.relays, 6), 7) +
                    right(group.epoch ? std::to_string(*group.epoch) : "-", 11) + right(latency, 9) + "  "},
                   std::move(input)});
  }
  write_sources(out, status);
}

/// Of what has not come at once, since the node's start; origins lack nothing.
void write_repair(Lines& out, const Interval& status) {
  bool begun = false;
  for (const Group& group : status.now().groups) {
    const auto of = [&](const char* name) { return count(group.counters, name); };
    if (of("repair_missing") == 0) continue;
    if (!std::exchange(begun, true))
      out.push_back(header(left("repair", 36) + right("missing", 10) + right("resent", 10) + right("late", 10) +
                           right("lost", 10) + right("questions", 11)));
    const Group* before = status.before(group);
    const bool loses = before && of("repair_given_up") > count(before->counters, "repair_given_up");
    out.push_back({{left(group.name, 35) + " " + right(whole(of("repair_missing"), 9), 10) +
                    right(whole(of("repair_resent"), 9), 10) + right(whole(of("repair_late"), 9), 10)},
                   {right(whole(of("repair_given_up"), 9), 10), loses ? Style::warn : Style::plain},
                   {right(whole(of("repair_nack"), 10), 11)}});
  }
}

void write_children(Lines& out, const Interval& status) {
  const auto& children = status.now().children;
  if (children.empty()) return;
  out.push_back(header(left("children", 24) + left("address", 36) + right("listeners", 11) + right("relays", 8) +
                       right("loss", 9) + right("round trip", 12)));
  for (const Child& child : children) {
    // Of several parents a relay is counted at one, and no relay is below another node without itself.
    const bool counted = child.seen && child.counted_here;
    out.push_back(
        {{left(child.name, 23) + " " + left(child.address, 35) + " " +
          right(counted ? whole(child.listeners, 10) : "-", 11) + right(counted ? whole(child.relays - 1, 7) : "-", 8) +
          right(child.seen ? percent(child.loss) : "-", 9) +
          right(child.seen ? milliseconds(child.round_trip_ms) : "-", 12)}});
  }
}

/// The loss that no more than the other share of the listeners exceed. "-": none has reported any.
std::string quantile(const Snapshot::Listen& listen, double q) {
  std::uint64_t all = 0;
  for (const auto& loss : listen.by_loss) all += loss.listeners;
  if (all == 0) return "-";
  double below = 0;
  for (const auto& loss : listen.by_loss) {
    below += static_cast<double>(loss.listeners);
    if (below >= q * static_cast<double>(all))
      return loss.up_to > 0 ? fmt::format("<={:g} %", loss.up_to * 100) : "0 %";
  }
  return "-";
}

void write_listeners(Lines& out, const Interval& status) {
  const auto& listen = status.now().listen;
  if (!listen) return;
  out.push_back(header(left("listeners", 11) + right("here", 9) + right("datagrams/s", 13) + right("loss: median", 14) +
                       right("90 %", 9) + right("99 %", 9) + right("leases", 26)));
  out.push_back(
      {{right(whole(listen->listeners, 10), 20) + right(rate(status.per_second("fanout_datagram")), 13) +
        right(quantile(*listen, 0.5), 14) + right(quantile(*listen, 0.9), 9) + right(quantile(*listen, 0.99), 9) +
        right(fmt::format("{} of {}", whole(listen->leases, 10), whole(listen->max_leases, 10)), 26)}});
  if (!listen->addresses.empty()) out.push_back({{"  at " + shortened(listen->addresses, 94)}});
  if (!listen->backend.empty()) {
    std::string line = "  " + listen->backend;
    if (!listen->backend_why.empty()) line += " (" + listen->backend_why + ")";
    if (listen->direct > 0 || !listen->detours.empty()) line += fmt::format(": {} below the stack", listen->direct);
    for (const std::string& detour : listen->detours) line += ", " + detour;
    out.push_back({{shortened(line, kStatusColumns)}});
    line = fmt::format("  sending takes {:.1f} % of a worker's time", listen->load * 100);
    if (listen->room) line += fmt::format("; room for {} listeners more", *listen->room);
    out.push_back({{line}});
    if (listen->standing_by > 0)
      out.push_back({{fmt::format("  {} more stand by: with them it would take {:.1f} %", listen->standing_by,
                                  listen->taken_up * 100)}});
  }
  if (!listen->multicast.empty())
    out.push_back({{shortened(
        fmt::format("  multicast {}: {} of the leases take it", listen->multicast, whole(listen->by_multicast, 10)),
        kStatusColumns)}});
}

void write_passage(Lines& out, const Interval& status) {
  const auto& listen = status.now().listen;
  if (!listen || listen->first_send.frames == 0) return;
  out.push_back(header(left("way of a frame through this node", 52) + right("frames", 12) + right("median", 12) +
                       right("99 %", 12) + right("greatest", 12)));
  const std::pair<const char*, const Snapshot::Listen::Passage*> ways[] = {
      {"from the feed to a worker", &listen->hand_off},
      {"from its arrival to a worker's first send", &listen->first_send},
      {"from its arrival to a worker's last send", &listen->last_send}};
  for (const auto& [name, way] : ways)
    out.push_back({{left(name, 52) + right(whole(way->frames, 11), 12) + right(milliseconds(way->median_ms), 12) +
                    right(milliseconds(way->p99_ms), 12) + right(milliseconds(way->most_ms), 12)}});
}

struct Drop {
  double per_second;
  std::string where, name;
};

void add_drops(std::vector<Drop>& out, const Interval& status, const std::string& where, const Counters& now,
               const Counters& before) {
  for (const auto& [name, value] : now) {
    if (name.find("_drop_") == std::string::npos) continue;
    const double rises = status.per_second(value, count(before, name)).value_or(0);
    if (rises > 0) out.push_back({rises, where, name});
  }
}

void write_drops(Lines& out, const Interval& status) {
  const Snapshot& s = status.now();
  if (status.before() == nullptr) return;
  std::vector<Drop> drops;
  add_drops(drops, status, "node", s.counters, status.before()->counters);
  for (const Group& group : s.groups)
    if (const Group* before = status.before(group))
      add_drops(drops, status, "group " + group.name, group.counters, before->counters);
  for (const Parent& parent : s.parents)
    if (const Parent* before = status.before(parent))
      add_drops(drops, status, parent.address, parent.counters, before->counters);
  if (drops.empty()) return;
  std::stable_sort(drops.begin(), drops.end(),
                   [](const Drop& a, const Drop& b) { return a.per_second > b.per_second; });
  out.push_back(header(left("drops", 36) + left("of", 44) + right("drops/s", 12)));
  for (std::size_t i = 0; i < std::min(drops.size(), kDrops); ++i)
    out.push_back({{left(drops[i].name, 35) + " " + left(drops[i].where, 44) + right(rate(drops[i].per_second), 12)}});
  if (drops.size() > kDrops)
    out.push_back({{fmt::format("... and {} more: tiercast status --json", drops.size() - kDrops), Style::dim}});
}

}  // namespace

std::vector<Line> status_lines(const Interval& status) {
  Lines out;
  write_verdict(out, status);
  for (const auto part :
       {write_parents, write_groups, write_repair, write_children, write_listeners, write_passage, write_drops})
    part(out, status);
  return out;
}

}  // namespace tiercast::cli
