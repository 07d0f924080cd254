#include "relay/measure/load_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace tiercast::measure {
namespace {

/// So long without a frame is no jitter: something has ended.
constexpr double kStopped = 3;

/// "denied: this node is full (12), no answer at all (3)", the most frequent first.
std::string reasons(const std::array<std::uint64_t, kJoinFailures>& failures) {
  std::array<std::size_t, kJoinFailures> order{};
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return failures[a] > failures[b]; });
  std::string out;
  for (const std::size_t i : order)
    if (failures[i] > 0)
      out += fmt::format("{}{} ({})", out.empty() ? "" : ", ", to_text(static_cast<JoinFailure>(i)), failures[i]);
  return out;
}

const char* key(JoinFailure failure) {
  switch (failure) {
    case JoinFailure::no_answer: return "no_answer";
    case JoinFailure::no_accept: return "no_accept";
    case JoinFailure::version: return "version";
    case JoinFailure::puzzle: return "puzzle";
    case JoinFailure::unknown_group: return "denied_unknown_group";
    case JoinFailure::not_allowed: return "denied_not_allowed";
    case JoinFailure::full: return "denied_full";
    case JoinFailure::draining: return "denied_draining";
    case JoinFailure::loop: return "denied_loop";
    case JoinFailure::bad_request: return "denied_bad_request";
  }
  return "";
}

std::string json(const Quantiles& q) {
  return fmt::format(R"({{"count":{},"p50":{:.3f},"p90":{:.3f},"p99":{:.3f},"p999":{:.3f},"max":{:.3f}}})", q.count,
                     q.p50, q.p90, q.p99, q.p999, q.most);
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out;
}

}  // namespace

const char* to_text(JoinFailure failure) {
  switch (failure) {
    case JoinFailure::no_answer: return "no answer at all";
    case JoinFailure::no_accept: return "answers, but does not accept: is --key its public key?";
    case JoinFailure::version: return "speaks other versions";
    case JoinFailure::puzzle: return "asks for a puzzle harder than a client solves";
    default: break;
  }
  constexpr auto kFirstDenial = static_cast<unsigned>(JoinFailure::unknown_group);
  return wire::to_text(static_cast<wire::DenyReason>(static_cast<unsigned>(failure) - kFirstDenial + 1));
}

LoadFrames& LoadFrames::operator+=(const LoadFrames& other) {
  came += other.came;
  lost += other.lost;
  twice += other.twice;
  late += other.late;
  stale += other.stale;
  jumped += other.jumped;
  missed_at_start += other.missed_at_start;
  attestations += other.attestations;
  idles += other.idles;
  after_leaving += other.after_leaving;
  longest_gap = std::max(longest_gap, other.longest_gap);
  return *this;
}

Quantiles Quantiles::of(const Histogram<>& us) {
  const auto ms = [&](double q) { return static_cast<double>(us.quantile(q)) / 1000; };
  return {us.count(), ms(0.5), ms(0.9), ms(0.99), ms(0.999), static_cast<double>(us.highest()) / 1000};
}

std::string judge(const LoadReport& r) {
  if (r.leases < r.listeners) {
    const std::string why = reasons(r.failures);
    if (r.joined < r.listeners)
      return fmt::format("{} of {} listeners did not join{}{}", r.listeners - r.joined, r.listeners,
                         why.empty() ? "" : ": " + why, r.interrupted ? " (ended early)" : "");
    return fmt::format("{} of {} listeners have no lease at the end{}", r.listeners - r.leases, r.listeners,
                       why.empty() ? "" : ": " + why);
  }
  if (r.leases_lost + r.leases_ended > 0)
    return fmt::format("{} leases were lost, {} ended by the edge", r.leases_lost, r.leases_ended);
  if (r.frames.came == 0) return "all joined, but no frame came: what says `tiercast status` there?";
  if (r.lost_steady > 0 && r.socket_drops > 0)
    return fmt::format(
        "{} frames were lost, {} datagrams of them by this process, which is too slow for so many: use fewer, "
        "or --count-on INTERFACE",
        r.lost_steady, r.socket_drops);
  if (r.lost_steady > 0)
    return fmt::format("{} frames were lost, by {} of {} listeners", r.lost_steady, r.listeners_that_lost, r.listeners);
  if (!r.ended && r.nothing_for.value_or(0) > kStopped)
    return fmt::format("no frame has come for the last {:.1f} s: has the input ended?", *r.nothing_for);
  if (const LoadSampleCounts& s = r.sample; s.forged + s.contradicted + s.differing + s.forged_attestations > 0)
    return fmt::format(
        "not authentic: {} frames do not open, {} are not what the source attested, {} are not what others "
        "got, {} attestations are forged",
        s.forged, s.contradicted, s.differing, s.forged_attestations);
  if (r.forged_epochs > 0) return fmt::format("{} epochs are not signed by the key in --source-key", r.forged_epochs);
  if (r.sample.unknown_source > 0) return "the frames are of a source that no --source-key names";
  if (r.sample.unknown_epoch > 0)
    return fmt::format("{} frames were of an epoch that their listener had not been told", r.sample.unknown_epoch);
  return {};
}

std::string to_json(const LoadReport& r) {
  std::string failures;
  for (std::size_t i = 0; i < kJoinFailures; ++i)
    if (r.failures[i] > 0)
      failures +=
          fmt::format(R"({}"{}":{})", failures.empty() ? "" : ",", key(static_cast<JoinFailure>(i)), r.failures[i]);
  const LoadSampleCounts& s = r.sample;
  std::string out = "{";
  const auto add = [&](const char* name, const auto& value) {
    out += fmt::format(R"({}"{}":{})", out.size() > 1 ? "," : "", name, value);
  };
  const auto add_text = [&](const char* name, const std::string& value) { add(name, "\"" + escaped(value) + "\""); };
  add("listeners", r.listeners);
  add("sampled", r.sampled);
  add("seconds", fmt::format("{:.3f}", r.seconds));
  add("interrupted", r.interrupted);
  add_text("counted", r.counted);
  add_text("wrong", judge(r));
  add("joined", r.joined);
  add("leases", r.leases);
  add("joins", r.joins);
  add("joins_per_second", fmt::format("{:.1f}", r.joins_per_second));
  add("join_failures", "{" + failures + "}");
  add("join_ms", json(r.join_ms));
  add("replaced", r.replaced);
  add("keepalives", r.keepalives);
  add("keepalives_acknowledged", r.keepalives_acknowledged);
  add("keepalives_resent", r.keepalives_resent);
  add("keepalives_unanswered", r.keepalives_unanswered);
  add("keepalive_ms", json(r.keepalive_ms));
  add("leases_lost", r.leases_lost);
  add("leases_ended_by_edge", r.leases_ended);
  add("frame_ms", r.frame_ms);
  add("frames", r.frames.came);
  add("lost", r.lost_steady);
  add("lost_in_all", r.frames.lost);
  add("listeners_that_lost", r.listeners_that_lost);
  add("silent", r.silent);
  add("longest_gap", r.frames.longest_gap);
  add("missed_at_start", r.frames.missed_at_start);
  add("twice", r.frames.twice);
  add("late", r.frames.late);
  add("stale", r.frames.stale);
  add("jumped", r.frames.jumped);
  add("after_leaving", r.frames.after_leaving);
  add("attestations", r.frames.attestations);
  add("idles", r.frames.idles);
  add("ended", r.ended);
  add("nothing_for_s", r.nothing_for ? fmt::format("{:.3f}", *r.nothing_for) : "null");
  out += fmt::format(
      R"(,"sample":{{"authenticated":{},"frames":{},"opened":{},"forged":{},"unknown_epoch":{},"unknown_source":{},)"
      R"("differing":{},"attestations":{},"forged_attestations":{},"attested":{},"contradicted":{},"forged_epochs":{},)"
      R"("lost_above_counter":{},"behind_first_ms":{},"first_since_sealed_ms":{},"last_since_sealed_ms":{},)"
      R"("before_sealed":{}}})",
      r.authenticated, s.frames, s.opened, s.forged, s.unknown_epoch, s.unknown_source, s.differing, s.attestations,
      s.forged_attestations, s.attested, s.contradicted, r.forged_epochs, r.sample_lost_above, json(r.behind_first_ms),
      json(r.first_since_sealed_ms), json(r.last_since_sealed_ms), r.before_sealed);
  add("socket_drops", r.socket_drops);
  add("send_refused", r.send_refused);
  add("drop_foreign", r.drop_foreign);
  add("drop_malformed", r.drop_malformed);
  add("drop_control", r.drop_control);
  add("cpu_share", fmt::format("{:.4f}", r.cpu_share));
  add("memory_per_listener", fmt::format("{:.0f}", r.memory_per_listener));
  return out + "}";
}

std::string to_text(const LoadReport& r) {
  std::string out;
  const auto line = [&](const char* name, const std::string& value) { out += fmt::format("{:<12}{}\n", name, value); };
  const auto quantiles = [](const Quantiles& q) {
    if (q.count == 0) return std::string{"none"};
    return fmt::format("{:.2f} median, {:.2f} 90 %, {:.2f} 99 %, {:.2f} 99.9 %, {:.2f} most", q.p50, q.p90, q.p99,
                       q.p999, q.most);
  };
  line("listeners", fmt::format("{} of {} joined, {} have a lease; held for {:.1f} s{}", r.joined, r.listeners,
                                r.leases, r.seconds, r.interrupted ? ", ended early" : ""));
  const std::string why = reasons(r.failures);
  line("joins", fmt::format("{:.0f} a second; {} replaced; {}", r.joins_per_second, r.replaced,
                            why.empty() ? "none failed" : "failed: " + why));
  line("  ms", quantiles(r.join_ms));
  line("keepalives",
       fmt::format("{} sent, {} acknowledged, {} resends, {} never answered; {} leases lost, {} ended by the edge",
                   r.keepalives, r.keepalives_acknowledged, r.keepalives_resent, r.keepalives_unanswered, r.leases_lost,
                   r.leases_ended));
  line("  ms", quantiles(r.keepalive_ms));
  line("frames",
       fmt::format("{} of {} ms came, {} lost (with the joining {}, by {} listeners), {} twice, {} out of order",
                   r.frames.came, r.frame_ms, r.lost_steady, r.frames.lost, r.listeners_that_lost, r.frames.twice,
                   r.frames.late));
  line("", fmt::format("{} missed at the start, {} after leaving; longest gap {} frames; {} attestations; counted {}",
                       r.frames.missed_at_start, r.frames.after_leaving, r.frames.longest_gap, r.frames.attestations,
                       r.counted));
  const LoadSampleCounts& s = r.sample;
  line("sample",
       r.authenticated
           ? fmt::format("{} listeners: {} frames, {} opened, {} forged, {} of an unknown epoch; {} sequences "
                         "attested, {} contradicted",
                         r.sampled, s.frames, s.opened, s.forged, s.unknown_epoch, s.attested, s.contradicted)
           : fmt::format("{} listeners: {} frames; no --source-key: not opened", r.sampled, s.frames));
  line("  ms", "behind the first copy: " + quantiles(r.behind_first_ms));
  line("  ms", "sealed to first copy: " + quantiles(r.first_since_sealed_ms));
  line("  ms", "sealed to last copy: " + quantiles(r.last_since_sealed_ms));
  line("this tool",
       fmt::format("{:.1f} % of a processor, {:.0f} bytes a listener; {} datagrams dropped at its socket, {} "
                   "refused to be sent",
                   100 * r.cpu_share, r.memory_per_listener, r.socket_drops, r.send_refused));
  const std::string wrong = judge(r);
  line(wrong.empty() ? "ok" : "WRONG", wrong.empty() ? "every listener joined, and nothing was lost since" : wrong);
  return out;
}

}  // namespace tiercast::measure
