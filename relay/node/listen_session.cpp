#include "relay/node/listen_session.hpp"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "relay/base/exit_code.hpp"

namespace tiercast::node {
namespace {

constexpr Duration kShowEvery = 250ms;
constexpr Duration kJoinPatience = 10s;   // then a join that nobody answers has failed
constexpr Duration kFramesPatience = 5s;  // joined, but silent: say so once
constexpr Duration kRefreshEvery = 10s;   // addresses are resolved anew while no parent is found

}  // namespace

ListenSession::ListenSession(net::Loop& loop, Setup setup)
    : loop_(loop),
      setup_(std::move(setup)),
      start_(net::read_clocks()),
      uplinks_(loop_, setup_.edges,
               {[this](std::size_t p, MutableBytes datagram) {
                  const Moment now = net::read_clocks();
                  listener_->on_datagram(p, datagram, now);
                  drain(now);
                },
                [this](std::size_t p, MutableBytes datagram) {
                  const Moment now = net::read_clocks();
                  listener_->on_multicast(p, datagram, now);
                  drain(now);
                },
                [this](std::size_t p) { listener_->on_unreachable(p, net::read_clocks()); },
                {},
                [this](std::uint16_t edge) {
                  const config::Upstream to = upstream_of(setup_.list, edge);
                  names_.push_back(to_string(to.address));
                  return to;
                }}),
      outputs_(std::move(setup_.sinks), setup_.quiet, [this](const std::string& line) { say(line); }),
      next_show_(start_.mono),
      next_refresh_(start_.mono + kRefreshEvery) {
  for (const auto& edge : setup_.edges) {
    names_.push_back(edge.address.host + ":" + std::to_string(edge.address.port));
    setup_.listener.parents.push_back(parent_of(edge));
  }
  setup_.listener.edges = keys_of(setup_.list);
  setup_.listener.uplinks = &uplinks_;
  listener_ = std::make_unique<Listener>(setup_.listener, start_);
}

ListenSession::~ListenSession() {
  if (signals_) loop_.cancel(signals_.get());
}

int ListenSession::run() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  signals_ = net::Descriptor{::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)};
  if (!signals_ || loop_.poll(signals_.get(), [this](int) { stop_ = true; }) != 0 || uplinks_.start() != 0) {
    std::fprintf(stderr, "tiercast: the io_uring has no room\n");
    return ExitCode::os;
  }
  std::optional<Diagnosis> given_up;
  while (!stop_) {
    const Moment now = net::read_clocks();
    listener_->on_timer(now);
    drain(now);
    outputs_.on_turn(now);
    if (outputs_.all_gone()) break;
    if ((listener_->ended() && outputs_.idle()) || (setup_.seconds && now.mono >= start_.mono + *setup_.seconds)) break;
    if ((given_up = hopeless(now))) break;
    if (now.mono >= next_show_) show(now, false);
    Time deadline = std::min({listener_->next_deadline(), outputs_.next_deadline(), next_show_});
    if (setup_.seconds) deadline = std::min(deadline, start_.mono + *setup_.seconds);
    loop_.turn(deadline, 64);
  }
  listener_->leave();
  outputs_.finish();
  show(net::read_clocks(), true);
  if (outputs_.exit_code() != ExitCode::ok || outputs_.all_gone()) return outputs_.exit_code();
  if (!given_up && !listener_->first_frame_at() && !listener_->ended()) given_up = listener_->diagnose(names_);
  if (given_up) {
    say(given_up->text);
    return given_up->exit_code;
  }
  return ExitCode::ok;
}

void ListenSession::drain(Moment now) {
  listener_->each_ahead([&](const receive::Played& ahead) { outputs_.on_ahead(ahead, *listener_->frame(), now); });
  receive::Played played;
  while (listener_->next(played, now)) outputs_.on_played(played, *listener_->frame(), now);
}

/// Over the live line, which is shown again below.
void ListenSession::say(const std::string& line) const {
  std::fprintf(stderr, "%stiercast: %s\n", setup_.live_line ? "\r\033[K" : "", line.c_str());
}

std::optional<Diagnosis> ListenSession::hopeless(Moment now) const {
  if (listener_->joined()) return std::nullopt;
  // One edge's word is not enough: a RETRY of another version may be forged.
  const bool late = now.mono >= start_.mono + kJoinPatience;
  return late || listener_->barred() ? std::optional{listener_->diagnose(names_)} : std::nullopt;
}

void ListenSession::show(Moment now, bool last) {
  next_show_ = now.mono + kShowEvery;
  if (listener_->live_parents(now.mono) == 0 && now.mono >= next_refresh_) {
    next_refresh_ = now.mono + kRefreshEvery;
    for (std::size_t p = 0; p < names_.size(); ++p)
      if (const auto& parent = listener_->parents()[p];
          parent.duty() != control::Duty::cold && !parent.leased() && !parent.holds_cookie())
        uplinks_.refresh(p);
  }
  if (!warned_ && listener_->joined_at() && !listener_->first_frame_at() &&
      now.mono > *listener_->joined_at() + kFramesPatience) {
    warned_ = true;
    if (!setup_.quiet) say(listener_->diagnose(names_).text);
  }
  for (std::size_t p = 0; p < names_.size(); ++p) {
    const auto removal = listener_->take_removal(p);
    if (removal && !setup_.quiet)
      say(names_[p] + " ended the subscription: " + wire::to_text(*removal) + "; it is asked again");
  }
  if (!setup_.live_line) return;
  const receive::Summary summary = listener_->summary();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now.mono - start_.mono).count();
  std::string latency = "latency ?";
  if (summary.latency_samples > 0) {
    const double median = static_cast<double>(summary.latency_median.count()) / 1000;
    const double lowest = static_cast<double>(summary.latency_lowest.count()) / 1000;
    // Clocks that disagree show as a negative time of travel: then only its variation means anything.
    std::array<char, 64> text{};
    if (lowest < 0) {
      std::snprintf(text.data(), text.size(), "latency +%.1f ms (relative)", median - lowest);
    } else {
      std::snprintf(text.data(), text.size(), "latency %.1f ms", median);
    }
    latency = text.data();
  }
  std::string player;
  if (const auto figures = outputs_.player(now.mono)) {
    std::array<char, 128> text{};
    const int size = std::snprintf(text.data(), text.size(), "  delay %.0f/%.0f ms  late %llu  concealed %llu",
                                   milliseconds(figures->delay), milliseconds(figures->target),
                                   static_cast<unsigned long long>(figures->late),
                                   static_cast<unsigned long long>(figures->concealed));
    player.assign(text.data(), static_cast<std::size_t>(size));
    if (figures->drift_ppm) {
      std::snprintf(text.data(), text.size(), "  drift %+.0f ppm", *figures->drift_ppm);
      player += text.data();
    }
  }
  std::fprintf(stderr, "\r%02lld:%02lld  frames %llu  lost %llu  %s  jitter %.1f ms  parents %zu/%zu%s \033[K%s",
               static_cast<long long>(seconds / 60), static_cast<long long>(seconds % 60),
               static_cast<unsigned long long>(summary.frames + summary.empty),
               static_cast<unsigned long long>(summary.lost), latency.c_str(), milliseconds(summary.jitter),
               listener_->live_parents(now.mono), std::min(names_.size(), listener_->choice().wanted()), player.c_str(),
               last ? "\n" : "");
  if (const auto* repairs = last ? listener_->repairs() : nullptr; repairs && repairs->repaired() > 0)
    std::fprintf(stderr, "repaired: %llu resent, %llu by parity, %llu by themselves\n",
                 static_cast<unsigned long long>(repairs->resent.get()),
                 static_cast<unsigned long long>(repairs->parity.get()),
                 static_cast<unsigned long long>(repairs->late.get()));
  std::fflush(stderr);
}

std::string ListenSession::report() const {
  using Json = nlohmann::ordered_json;
  const receive::Summary s = listener_->summary();
  Json out;
  out["frames"] = s.frames;
  out["empty"] = s.empty;
  out["lost"] = s.lost;
  out["duplicates"] = s.duplicates;
  out["repaired"] = s.repaired;
  if (const auto* repairs = listener_->repairs())
    out["repaired_by"] = {
        {"resent", repairs->resent.get()}, {"parity", repairs->parity.get()}, {"late", repairs->late.get()}};
  out["discontinuities"] = s.discontinuities;
  out["longest_gap_ms"] = milliseconds(s.longest_gap);
  out["jitter_ms"] = milliseconds(s.jitter);
  if (s.latency_samples > 0) {
    out["latency_samples"] = s.latency_samples;
    out["latency_lowest_ms"] = static_cast<double>(s.latency_lowest.count()) / 1000;
    out["latency_median_ms"] = static_cast<double>(s.latency_median.count()) / 1000;
    out["latency_p99_ms"] = static_cast<double>(s.latency_p99.count()) / 1000;
  }
  if (listener_->joined_at()) out["joined_after_ms"] = milliseconds(*listener_->joined_at() - start_.mono);
  if (listener_->first_frame_at())
    out["first_frame_after_ms"] = milliseconds(*listener_->first_frame_at() - start_.mono);
  out["ended"] = listener_->ended();
  Json counters = Json::object();
  const auto put = [&](const char* name, const Counter& counter) { counters[name] = counter.get(); };
  listener_->each_counter(put);
  uplinks_.counters().each(put);
  out["counters"] = counters;
  out["parents"] = Json::array();
  for (std::size_t p = 0; p < names_.size(); ++p) {
    const auto& parent = listener_->parents()[p];
    Json of;
    of["address"] = names_[p];
    of["joined"] = parent.leased();
    of["standby"] = parent.duty() != control::Duty::live;
    if (parent.leased()) of["round_trip_ms"] = milliseconds(parent.round_trip());
    parent.counters().each([&](const char* name, const Counter& counter) { of[name] = counter.get(); });
    if (parent.lease())
      parent.lease()->counters().each([&](const char* name, const Counter& counter) { of[name] = counter.get(); });
    if (const MulticastUplink* multicast = listener_->multicast(p)) {
      of["multicast"] = {{"delivers", multicast->way.wanted() == wire::Delivery::multicast},
                         {"datagrams", multicast->datagrams}};
      if (!uplinks_.multicast_problem(p).empty()) of["multicast"]["problem"] = uplinks_.multicast_problem(p);
      multicast->way.counters().each([&](const char* name, const Counter& counter) { of[name] = counter.get(); });
    }
    out["parents"].push_back(of);
  }
  out["outputs"] = Json::array();
  outputs_.each([&](const ListenSink& sink) {
    using State = OutputStatus::State;
    const OutputStatus& status = sink.status();
    Json of;
    of["name"] = status.name;
    of["state"] = status.state == State::open ? "open" : status.state == State::failed ? "failed" : "reader gone";
    if (!status.why.empty()) of["why"] = status.why;
    of["dropped"] = status.dropped;
    if (const auto figures = sink.player(net::read_clocks().mono)) {
      of["target_ms"] = milliseconds(figures->target);
      of["delay_ms"] = milliseconds(figures->delay);
      of["drift_ppm"] = figures->drift_ppm ? Json(*figures->drift_ppm) : Json(nullptr);
    }
    sink.each_counter([&](const char* name, const Counter& counter) { of[name] = counter.get(); });
    out["outputs"].push_back(of);
  });
  return out.dump(2) + "\n";
}

}  // namespace tiercast::node
