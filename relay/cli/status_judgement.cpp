#include "relay/cli/status_judgement.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "relay/cli/styled_text.hpp"

namespace tiercast::cli {
namespace {

using Complaints = std::vector<Complaint>;
using Parent = Snapshot::Parent;
using Group = Snapshot::Group;

std::string name_of(const Group& group) { return "group " + shortened(group.name, 16); }

std::string age(double ms) { return fmt::format("{:.0f} s", ms / 1000); }

void look_at_workers(const Snapshot& s, Complaints& out) {
  if (!s.listen) return;
  for (std::size_t w = 0; w < s.listen->worker_quiet_ms.size(); ++w) {
    const double quiet = s.listen->worker_quiet_ms[w];
    if (quiet < kWorkerStalledMs) continue;
    out.push_back({Wrong::worker_stalled, fmt::format("worker {} has stalled for {}", w, age(quiet)),
                   "its listeners hear nothing: restart the node (systemd does after the watchdog's time)"});
  }
}

void look_at_drain(const Snapshot& s, Complaints& out) {
  if (!s.drain) return;
  out.push_back(
      {Wrong::drains,
       fmt::format("draining: {} of its leases left, and it stops in {:.0f} s", s.drain->leases, s.drain->seconds_left),
       s.drain->staying == 0 ? "it was told to stop, and waits until they have gone elsewhere"
                             : fmt::format("{} of them have no other parent to go to", s.drain->staying)});
}

// --- parents ---

std::string state_of(const Parent& parent) {
  if (!parent.problem.empty()) return "has no socket";
  if (parent.state == "denied") return "denies the join";
  if (parent.state == "silent") return "is silent";
  return parent.answers ? "does not accept" : "does not answer";
}

std::string advice_for(const Parent& parent) {
  if (!parent.problem.empty()) return parent.problem;
  if (parent.state == "denied") return "it says: " + parent.denied;
  if (parent.state == "silent") return "run tiercast status there; does the network let UDP from it through?";
  if (parent.answers) return "is public_key its key, and has it a [[downstream]] with this node's?";
  return "is the address right, does it run, is UDP let through?";
}

void look_at_parents(const Snapshot& s, Complaints& out) {
  if (s.parents.empty()) return;
  const auto live = std::count_if(s.parents.begin(), s.parents.end(), [](const Parent& p) { return p.live(); });
  if (live == 0) {
    // Those of a parent that was heard say more than a dead one's.
    const auto heard = std::find_if(s.parents.begin(), s.parents.end(),
                                    [](const Parent& p) { return !p.denied.empty() || p.answers; });
    const Parent& told = heard == s.parents.end() ? s.parents.front() : *heard;
    const std::string text = s.parents.size() == 1
                                 ? fmt::format("no parent is live: {} {}", shortened(told.address, 26), state_of(told))
                                 : fmt::format("none of {} parents is live", s.parents.size());
    const std::string advice = s.parents.size() == 1
                                   ? advice_for(told)
                                   : shortened(told.address, 30) + " " + state_of(told) + ": " + advice_for(told);
    out.push_back({Wrong::no_parent_live, text, advice});
    return;
  }
  if (s.seeking) {
    out.push_back({Wrong::parents_seeking, "the parents live, but nothing comes to them",
                   "look further up: tiercast status on the nodes above, the origin first"});
  }
  for (const Parent& parent : s.parents) {
    if (parent.as_wanted()) continue;
    const std::string which = shortened(parent.address, 24) + " " + state_of(parent);
    out.push_back({Wrong::parent_missing,
                   static_cast<std::size_t>(live) < s.live_parents
                       ? fmt::format("{} of {} parents live: {}", live, s.live_parents, which)
                       : "a standby parent is missing: " + which,
                   advice_for(parent)});
  }
}

// Where nothing is wanted or has ended nothing comes.
bool expects_frames(const Snapshot& s) {
  return std::any_of(s.groups.begin(), s.groups.end(),
                     [](const Group& group) { return group.subscribed && !group.ended && !group.input; });
}

void look_at_multicast(const Snapshot& s, Complaints& out) {
  for (const Parent& parent : s.parents) {
    if (parent.multicast.empty() || parent.by_multicast || !parent.live() || parent.seeking) continue;
    out.push_back({Wrong::multicast_fails,
                   fmt::format("multicast {} of {} does not come", shortened(parent.multicast, 40),
                               shortened(parent.address, 24)),
                   parent.multicast_problem.empty()
                       ? "frames come by unicast; does the parent send there, is source right, do switches pass it on?"
                       : parent.multicast_problem});
  }
}

// --- groups ---

constexpr const char* kRefusals[] = {"ingest_drop_malformed",      "ingest_drop_payload_type", "ingest_drop_not_opus",
                                     "ingest_drop_other_duration", "ingest_drop_too_long",     "ingest_drop_too_fast"};

double refused_per_second(const Interval& status, const Group& group) {
  const Group* before = status.before(group);
  double sum = 0;
  if (before == nullptr) return sum;
  for (const char* name : kRefusals)
    sum += status.per_second(count(group.counters, name), count(before->counters, name)).value_or(0);
  return sum;
}

void look_at_input(const Interval& status, const Group& group, Complaints& out) {
  const Snapshot::Input& input = *group.input;
  const double refused = refused_per_second(status, group);
  const bool silent = input.age_ms.value_or(status.now().uptime_ms) > kInputSilentMs;
  // Without rates the last refusal is all there is to tell a wrong sender from none.
  const bool wrong = refused > 0 || (status.before() == nullptr && !input.last_refused.empty());
  if (silent && wrong) {
    out.push_back({Wrong::input_refused, name_of(group) + ": the input is refused", input.last_refused});
  } else if (silent) {
    const std::string since = input.age_ms ? " for " + age(*input.age_ms) : ", from the start on";
    const std::string from = input.kind == "rtp" ? "is the encoder sending RTP to " + input.from + "?"
                             : input.from == "-" ? "nothing comes from standard input: does its writer run?"
                                                 : "nothing comes from " + input.from + ": does its writer run?";
    out.push_back({Wrong::input_silent, name_of(group) + ": the input is silent" + since, from});
  } else if (refused > 0) {
    out.push_back({Wrong::input_partly_refused,
                   fmt::format("{}: {:.0f} packets/s are refused", name_of(group), refused), input.last_refused});
  }
}

void look_at_alignment(const Group& group, Complaints& out) {
  if (!group.align || group.align->aligned()) return;
  const Snapshot::Align& align = *group.align;
  if (align.by == "alone") {
    out.push_back({Wrong::not_aligned,
                   fmt::format("{}: the origin of source {} is not there", name_of(group), align.source),
                   align.state == "denied"
                       ? "it denies the join (" + align.denied + "): has it a [[downstream]] with this node's key?"
                   : align.state == "silent" ? "it is silent: tiercast status there"
                                             : "does it run, is align its address, align_key its node's public key?"});
  } else if (align.off_ticks != 0) {
    out.push_back({Wrong::not_aligned,
                   fmt::format("{}: source {} numbers its frames differently", name_of(group), align.source),
                   "has its source an align, and does the same encoder send to both?"});
  }
}

void look_at_stream(const Interval& status, const Group& group, Complaints& out) {
  if (!group.subscribed) return;
  const Snapshot& s = status.now();
  const bool fed =
      !s.seeking && std::any_of(s.parents.begin(), s.parents.end(), [](const Parent& p) { return p.live(); });
  if (fed && group.last_frame_ms.value_or(s.uptime_ms) > kGroupSilentMs) {
    const std::string since = group.last_frame_ms ? " for " + age(*group.last_frame_ms) : " so far";
    out.push_back({Wrong::group_silent, name_of(group) + ": no frame" + since,
                   "do the parents carry it? tiercast status there; same id, source key and frame_ms everywhere?"});
  }
  if (!group.epoch_known) {
    out.push_back({Wrong::epoch_unknown,
                   fmt::format("{}: epoch {} is not known here", name_of(group), group.epoch.value_or(0)),
                   "listeners hear nothing: it is asked for every 2 s; if that stays, tiercast rotate at the origin"});
  }
}

void look_at_clock(const Group& group, Complaints& out) {
  if (!group.latency_ms) return;
  if (*group.latency_ms < -kClockMs) {
    out.push_back({Wrong::clocks_disagree,
                   fmt::format("clocks disagree: {} comes {:.0f} ms too early", name_of(group), -*group.latency_ms),
                   "latencies are relative only: is NTP running here and at the origin (timedatectl)?"});
  } else if (*group.latency_ms > kLatencyMs) {
    out.push_back({Wrong::clocks_disagree, fmt::format("{} comes {} late", name_of(group), age(*group.latency_ms)),
                   "a clock is wrong, here or at the origin (timedatectl), or the way is congested"});
  }
}

void look_at_recording(const Group& group, Complaints& out) {
  if (group.recording_problem.empty()) return;
  out.push_back({Wrong::recording_fails, name_of(group) + ": the recording waits for its disk; the broadcast does not",
                 group.recording_problem});
}

// --- what rises ---

double sum_of(const Interval& status, std::initializer_list<const char*> counters) {
  double sum = 0;
  for (const char* name : counters) sum += status.per_second(name).value_or(0);
  return sum;
}

void look_at_drops(const Interval& status, Complaints& out) {
  const double late = sum_of(status, {"fanout_drop_late", "fanout_drop_overwritten", "feed_drop_worker_ring_full"});
  if (late > 0) {
    out.push_back({Wrong::frames_dropped, fmt::format("the workers are too slow: {:.1f} frames/s dropped", late),
                   "fewer listeners here: another edge, more listen.workers, a lower max_leases"});
  }
  const double unsent = sum_of(status, {"fanout_drop_send"});
  if (unsent > 0) {
    out.push_back({Wrong::frames_dropped, fmt::format("the kernel refuses to send {:.0f} datagrams/s", unsent),
                   "send buffer (net.core.wmem_max), the interface, or a firewall's output rules"});
  }
  const double unheard =
      sum_of(status, {"multicast_drop_congested", "multicast_drop_unreachable", "multicast_drop_other"});
  if (unheard > 0) {
    out.push_back({Wrong::multicast_fails, fmt::format("the kernel refuses to send {:.0f} multicast/s", unheard),
                   "is listen.multicast's interface up? Those below take frames by unicast meanwhile"});
  }
  const double received = sum_of(status, {"kernel_drop_worker_sockets"});
  if (received > 0) {
    out.push_back({Wrong::kernel_drops, fmt::format("the kernel drops {:.0f}/s at the worker sockets", received),
                   "junk that its filter refuses, or the workers are too slow: look at their CPUs (top -H)"});
  }
  const double resends = sum_of(status, {"resend_drop_lease_budget", "resend_drop_node_budget"});
  if (resends > 0) {
    out.push_back({Wrong::resend_refused, fmt::format("{:.0f} resends/s are over the budget", resends),
                   "those below lose more than may be resent: look at the losses and at the network below"});
  }
}

void look_at_leases(const Snapshot& s, Complaints& out) {
  if (!s.listen || s.listen->max_leases == 0) return;
  const auto& listen = *s.listen;
  const std::uint64_t workers = std::max<std::size_t>(1, listen.worker_quiet_ms.size());
  const std::uint64_t room = std::max<std::uint64_t>(1, listen.max_leases / workers) * workers;  // each has its part
  const std::string text = fmt::format("{} of {} leases are taken", listen.leases, listen.max_leases);
  if (listen.load >= listen.full_at) {
    out.push_back({Wrong::full, fmt::format("full: sending takes {:.0f} % of a worker's time", listen.load * 100),
                   "joins are denied: send listeners to another edge, or raise listen.workers"});
  } else if (listen.taken_up >= listen.full_taken_up_at) {
    out.push_back(
        {Wrong::full,
         fmt::format("full: sending to the {} that stand by here, too, would take {:.0f} % of a worker's time",
                     listen.standing_by, listen.taken_up * 100),
         "joins are denied: give listeners another standby, or raise listen.workers"});
  } else if (listen.leases >= room) {
    out.push_back(
        {Wrong::full, "full: " + text, "joins are denied: send listeners to another edge, or raise listen.max_leases"});
  } else if (static_cast<double>(listen.leases) >= kNearlyFull * static_cast<double>(listen.max_leases)) {
    out.push_back({Wrong::nearly_full, text, "soon joins are denied: another edge, or a greater listen.max_leases"});
  }
}

}  // namespace

std::vector<Complaint> judge(const Interval& status) {
  const Snapshot& s = status.now();
  Complaints out;
  look_at_workers(s, out);
  look_at_drain(s, out);
  look_at_parents(s, out);
  if (expects_frames(s)) look_at_multicast(s, out);
  for (const Group& group : s.groups) {
    look_at_recording(group, out);
    if (group.ended) continue;
    group.input ? look_at_input(status, group, out) : look_at_stream(status, group, out);
    look_at_alignment(group, out);
    look_at_clock(group, out);
  }
  look_at_drops(status, out);
  look_at_leases(s, out);
  std::stable_sort(out.begin(), out.end(), [](const Complaint& a, const Complaint& b) { return a.wrong < b.wrong; });
  return out;
}

}  // namespace tiercast::cli
