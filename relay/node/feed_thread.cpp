#include "relay/node/feed_thread.hpp"

#include <signal.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "relay/base/exit_code.hpp"
#include "relay/node/make_group.hpp"
#include "relay/node/status.hpp"
#include "relay/ops/log.hpp"

namespace tiercast::node {
namespace {

constexpr Duration kHousekeeping = 500ms;
constexpr Duration kInputSilent = 3s;
constexpr Duration kParentMissing = 10s;  // then its name is resolved and its socket made anew
constexpr Duration kWorkerStalled = 10s;  // then the watchdog is not fed any more
constexpr unsigned kCompletionsPerTurn = 256;
constexpr std::size_t kJoinBuffers = 256;  // of all listen addresses together

/// At its origin: nothing more comes.
bool ended(const FeedGroup& group) { return (group.origin->statement().flags & wire::kInfoEnded) != 0; }

std::string silence_hint(const config::SourceInput& input, bool ever) {
  if (input.kind == config::InputKind::rtp)
    return ever ? "the sender stopped" : "no RTP has come yet: is it sent to the group's rtp address?";
  const std::string name = input.reads_standard_input() ? "standard input" : input.file;
  return (ever ? "nothing more comes from " : "nothing has come yet from ") + name;
}

}  // namespace

class FeedThread::JoinHandler final : public net::DatagramHandler {
 public:
  explicit JoinHandler(FeedThread& owner) : owner_(owner) {}
  void on_datagram(MutableBytes datagram, const Endpoint& from, const LocalAddress& local) override {
    owner_.feed_->on_join(datagram, from, local, net::read_clocks());
  }
  void on_error(int error) override {
    const auto& sockets = owner_.setup_.join_sockets;
    if (std::all_of(sockets.begin(), sockets.end(), [this](const auto& s) { return owner_.loop_.receives(s.fd()); }))
      return;
    ops::log::error("join_socket_failed", {{"reason", std::strerror(error)}});
    owner_.join_failed_ = true;
  }

 private:
  FeedThread& owner_;
};

class FeedThread::RtpHandler final : public net::DatagramHandler {
 public:
  RtpHandler(FeedThread& owner, GroupIndex group, net::UdpSocket s)
      : socket(std::move(s)), owner_(owner), group_(group) {}
  void on_datagram(MutableBytes datagram, const Endpoint&, const LocalAddress&) override {
    owner_.feed_->on_rtp(group_, datagram, net::read_clocks());
  }
  void on_error(int) override {}
  net::UdpSocket socket;

 private:
  FeedThread& owner_;
  GroupIndex group_;
};

FeedThread::FeedThread(Setup setup)
    : setup_(std::move(setup)),
      config_(std::move(setup_.config)),
      own_key_(crypto::node_public_key(*setup_.feed.key)),
      random_(setup_.feed.random),
      loop_(*setup_.loop),
      outlet_(setup_.join_sockets),
      uplinks_(loop_, config_.upstreams,
               {[this](std::size_t p, MutableBytes datagram) {
                  const Moment now = net::read_clocks();
                  feed_->on_uplink(p, datagram, now, received_at(now, loop_.stamp()));
                },
                [this](std::size_t p, MutableBytes datagram) {
                  const Moment now = net::read_clocks();
                  feed_->on_multicast(p, datagram, now, received_at(now, loop_.stamp()));
                },
                [this](std::size_t p) { feed_->on_uplink_unreachable(p, net::read_clocks()); },
                [this](std::size_t p) { parents_.erase(parents_.begin() + static_cast<std::ptrdiff_t>(p)); },
                [this](std::uint16_t edge) {
                  const config::Upstream to = upstream_of(config_.edges->list, edge);
                  parents_.emplace_back().since = net::read_clocks().mono;
                  ops::log::info("parent_learnt", {{"parent", to_string(to.address)}});
                  return to;
                }}),
      align_links_(
          loop_, align_upstreams(config_),
          {[this](std::size_t link, MutableBytes datagram) { feed_->on_align(link, datagram, net::read_clocks()); },
           {},
           [this](std::size_t link) { feed_->on_align_unreachable(link, net::read_clocks()); }}),
      notifier_(ops::Notifier::from_environment()),
      parents_(setup_.feed.parents.size()),
      turns_seen_(setup_.workers.size()),
      turns_at_(setup_.workers.size(), setup_.start.mono),
      next_housekeeping_(setup_.start.mono),
      next_watchdog_(setup_.start.mono) {
  edges_seen_.note(config_);
  for (auto& parent : parents_) parent.since = setup_.start.mono;
  for (auto& worker : setup_.workers) {
    WorkerThread* thread = worker.get();
    WorkerLink& link = setup_.feed.workers[static_cast<std::size_t>(&worker - setup_.workers.data())];
    link.wake = [thread] { thread->wake(); };
  }
  reloader_ =
      std::make_unique<Reloader>(Reloader::Setup{setup_.read_config, own_key_, setup_.state ? &*setup_.state : nullptr,
                                                 random_, setup_.recordings, setup_.bell.get()});
  setup_.feed.outlet = &outlet_;
  setup_.feed.uplinks = &uplinks_;
  setup_.feed.align_links = &align_links_;
  feed_ = std::make_unique<Feed>(std::move(setup_.feed), setup_.start);
}

FeedThread::~FeedThread() {
  reloader_.reset();
  recovery_.reset();
  setup_.media.clear();
  admin_.reset();
  for (auto& rtp : rtp_) loop_.cancel(rtp->socket.fd());
  for (auto& socket : setup_.join_sockets) loop_.cancel(socket.fd());
  if (signals_) loop_.cancel(signals_.get());
  loop_.cancel(setup_.bell->fd());
  saver_.reset();
  for (auto& worker : setup_.workers) worker->stop();
}

tl::expected<void, net::Error> FeedThread::open() {
  const net::Error no_room{"the io_uring has no room for all sockets", ExitCode::os};
  join_handler_ = std::make_unique<JoinHandler>(*this);
  for (std::size_t s = 0; s < setup_.join_sockets.size(); ++s) {
    // One join at a time, and before each everything that the uplinks brought.
    const net::ReceiveOptions options{.buffers = static_cast<unsigned>(kJoinBuffers / setup_.join_sockets.size()),
                                      .priority = net::Priority::background,
                                      .socket = static_cast<std::uint8_t>(s)};
    if (loop_.receive(setup_.join_sockets[s].fd(), *join_handler_, options) != 0) return tl::unexpected{no_room};
  }
  for (const auto& group : feed_->groups()) {
    if (!group->origin) continue;
    const auto& source = config::find_group(config_, group->group.id)->source;
    if (source->kind != config::InputKind::rtp) continue;
    auto socket = bind_rtp(source->rtp);
    if (!socket) return tl::unexpected{socket.error()};
    if (!receive_rtp(group->group.index, std::move(*socket))) return tl::unexpected{no_room};
  }
  if (setup_.bell->listen(loop_, [this] { hear_bell(); }) != 0) return tl::unexpected{no_room};
  recovery_ = std::make_unique<DiskThread<store::RecordingPlace, Recovered>>(
      "recovery", AtEnd::left, *setup_.bell, [](store::RecordingPlace place) {
        return Recovered{place, store::recover(place)};
      });
  for (const auto& group : feed_->groups())
    if (group->recorder)
      recovery_->add(recording_place(*config::find_group(config_, group->group.id), setup_.recordings));
  if (setup_.state)
    saver_ = std::make_unique<DiskThread<StateToSave, StateSaved>>(
        "state", AtEnd::done, *setup_.bell, [store = &*setup_.state](const StateToSave& job) {
          const auto saved = store->save(job.id, job.source, job.state);
          return StateSaved{job.group, saved ? std::string{} : saved.error().text};
        });
  if (!config_.admin.socket.empty()) {
    auto admin = ops::AdminServer::create(
        loop_, config_.admin.socket,
        [this](std::string_view request, std::uint64_t connection) { return answer(request, connection); });
    if (!admin) return tl::unexpected{admin.error()};
    admin_ = std::move(*admin);
  }
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  signals_ = net::Descriptor{::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)};
  if (!signals_ || loop_.poll(signals_.get(), [this](int) { on_signal(); }) != 0) return tl::unexpected{no_room};
  if (uplinks_.start() != 0 || align_links_.start() != 0) return tl::unexpected{no_room};
  return {};
}

bool FeedThread::receive_rtp(GroupIndex group, net::UdpSocket socket) {
  rtp_.push_back(std::make_unique<RtpHandler>(*this, group, std::move(socket)));
  return loop_.receive(rtp_.back()->socket.fd(), *rtp_.back()) == 0;
}

void FeedThread::hear_bell() {
  const Moment now = net::read_clocks();
  feed_->on_reports(now);
  take_media(now);
  save_states(now);
  take_recovered();
  finish_reload(now);
}

int FeedThread::run() {
  for (auto& worker : setup_.workers) worker->start();
  notifier_.ready(status_line());
  ops::log::info("ready", {{"node", config_.node.name}});
  for (auto& media : setup_.media) media->start();
  if (config_.node.cpu) bind_to_cpu(*config_.node.cpu, "feed", placement_counters_);  // of all its threads it alone
  while (true) {
    turn();
    go_on_draining(net::read_clocks());
    if (!stopping_since_) continue;
    if (feed_->stopped() || net::read_clocks().mono > *stopping_since_ + kGoodbye) break;
  }
  ops::log::info("stopped", {{"node", config_.node.name}});
  return exit_code_;
}

void FeedThread::turn() {
  const Moment now = net::read_clocks();
  feed_->on_timer(now);
  save_states(now);
  if (now.mono >= next_housekeeping_) {
    next_housekeeping_ = now.mono + kHousekeeping;
    housekeeping(now);
  }
  Time deadline = std::min(feed_->next_deadline(), next_housekeeping_);
  if (stopping_since_) deadline = std::min(deadline, now.mono + 10ms);
  if (draining_) deadline = std::min({deadline, draining_->until, draining_->next_told});
  loop_.turn(deadline, kCompletionsPerTurn);
}

void FeedThread::on_signal() {
  signalfd_siginfo info;
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    if (stopping_since_) continue;
    if (info.ssi_signo == SIGHUP) {
      request_reload(std::nullopt);
      continue;
    }
    const Moment now = net::read_clocks();
    if (draining_ || config_.node.drain == Duration::zero()) {
      ops::log::info("stopping", {{"signal", info.ssi_signo}, {"leases", feed_->leases()}});
      stop(now, ExitCode::ok);
    } else {
      ops::log::info("draining", {{"signal", info.ssi_signo}, {"leases", feed_->leases()}});
      drain(config_.node.drain, now);
    }
  }
}

void FeedThread::stop(Moment now, int exit_code) {
  notifier_.stopping(kGoodbye);
  stopping_since_ = now.mono;
  exit_code_ = exit_code;
  feed_->stop(now);
}

// A process that stops ends no broadcast, also where what feeds its standard input was stopped with it.
void FeedThread::take_media(Moment now) {
  for (auto& media : setup_.media) {
    while (const auto item = media->take()) {
      if (stopping_since_) continue;
      const FeedGroup& group = *feed_->group_at(media->group());
      switch (item->kind) {
        case MediaItem::Kind::packet: feed_->on_rtp(media->group(), item->datagram(), now); break;
        case MediaItem::Kind::end:
          if (ended(group) || (draining_ && media->is_pipe())) break;
          feed_->end_group(media->group(), now);
          ops::log::info("broadcast_ended", {{"group", group.group.name},
                                             {"input", media->name()},
                                             {"seconds", std::chrono::duration<double>{media->played()}.count()}});
          break;
        case MediaItem::Kind::failed: stop(now, ExitCode::data); break;
      }
    }
  }
}

void FeedThread::save_states(Moment now) {
  if (!saver_) return;
  for (const auto& done : saver_->take_done()) {
    FeedGroup& group = *feed_->group_at(done.group);
    if (!done.problem.empty())
      ops::log::error("state_not_saved", {{"group", group.group.name}, {"reason", done.problem}});
    group.origin->on_saved(done.problem.empty(), now);
  }
  for (const auto& group : feed_->groups()) {
    if (!group->origin) continue;
    if (auto job = group->origin->take_save(now.mono))
      saver_->add({group->group.index, group->group.id, group->origin->source(), to_state(*job)});
  }
}

void FeedThread::take_recovered() {
  for (const auto& done : recovery_->take_done()) {
    const auto& groups = config_.groups;
    const auto group = std::find_if(groups.begin(), groups.end(), [&](const config::Group& one) {
      return one.record && recording_place(one, setup_.recordings).is(done.place);
    });
    if (group == groups.end()) continue;  // removed meanwhile
    std::optional<Recorder::Leftover> last;
    for (const auto& file : done.files) {
      run_finished_command(*group, setup_.recordings, file.path, receive::FinishedBy::recovered);
      if (file.next && (!last || last->next < *file.next))
        last = {std::filesystem::path{file.path}.filename().string(), *file.next};
    }
    const FeedGroup* at = feed_->group_at(index_of(group->id));
    if (at != nullptr && at->recorder) at->recorder->on_leftover(last);
  }
}

void FeedThread::housekeeping(Moment now) {
  watch_inputs(now);
  watch_alignment(now);
  watch_parents(now);
  watch_multicast_below();
  feed_watchdog(now);
}

void FeedThread::watch_inputs(Moment now) {
  for (const auto& at : feed_->groups()) {
    const FeedGroup& group = *at;
    if (!group.origin) continue;
    if (const auto refusal = group.origin->take_refusal(now.mono)) {
      ops::log::warning("input_refused",
                        {{"group", group.group.name},
                         {"reason", publish::to_text(*refusal, static_cast<std::uint8_t>(group.group.frame.count()))}});
    }
    const auto health = group.origin->health(now.mono);
    InputWatch& watch = inputs_[group.group.index.value];
    if (ended(group)) continue;
    const bool silent = health.age ? *health.age > kInputSilent : now.mono > setup_.start.mono + kInputSilent;
    if (silent && !watch.silent) {
      ops::log::warning("input_silent",
                        {{"group", group.group.name},
                         {"seconds", 3},
                         {"hint", silence_hint(*config::find_group(config_, group.group.id)->source, watch.ever)}});
    } else if (!silent && health.age && (watch.silent || !watch.ever)) {
      ops::log::info("input_alive", {{"group", group.group.name},
                                     {"ssrc", health.ssrc},
                                     {"kbit_s", static_cast<double>(health.bits_per_second) / 1000}});
    }
    watch.silent = silent;
    watch.ever = watch.ever || health.age.has_value();
  }
}

void FeedThread::watch_alignment(Moment now) {
  std::size_t link = 0;
  for (const auto& group : feed_->groups()) {
    if (!group->align) continue;
    InputWatch& watch = inputs_[group->group.index.value];
    const control::Parent& other = group->align->parent();
    if (other.leased() || watch.next_refresh == Time{}) watch.next_refresh = now.mono + kParentMissing;
    if (now.mono >= watch.next_refresh) {
      watch.next_refresh = now.mono + kParentMissing;
      if (!other.holds_cookie()) align_links_.refresh(link);
    }
    ++link;
    const publish::Aligned state = group->origin->alignment()->state();
    if (watch.aligned == state) continue;
    watch.aligned = state;
    const std::string name = to_string(align_links_.name(link - 1));
    if (state == publish::Aligned::alone) {
      ops::log::warning("align_alone", {{"group", group->group.name},
                                        {"other", name},
                                        {"hint", "the other origin is not there: nobody takes over if this one dies"}});
    } else if (state != publish::Aligned::seeking) {
      ops::log::info("aligned", {{"group", group->group.name}, {"other", name}, {"by", to_text(state)}});
    }
  }
}

void FeedThread::watch_parents(Moment now) {
  for (std::size_t p = 0; p < parents_.size(); ++p) {
    const control::Parent& parent = feed_->parents()[p];
    ParentWatch& watch = parents_[p];
    const std::string name = uplinks_.name(p).host + ":" + std::to_string(uplinks_.name(p).port);
    if (parent.leased() && !watch.leased) {
      ops::log::info("parent_joined", {{"parent", name}, {"round_trip_ms", parent.round_trip()}});
      watch.joined_or_lost(true, now.mono);
    } else if (!parent.leased() && watch.leased) {
      if (parent.duty() != control::Duty::cold) ops::log::warning("parent_lost", {{"parent", name}});
      watch.joined_or_lost(false, now.mono);
    }
    if (const control::Duty duty = parent.duty(); duty != watch.duty) {
      const char* names[] = {"reserve", "standby", "live"};
      ops::log::info("parent", {{"parent", name}, {"is", names[static_cast<std::size_t>(duty)]}});
      watch.duty = duty;
      watch.since = now.mono;
    }
    watch_multicast(p, name);
    if (parent.duty() == control::Duty::cold) continue;
    if (const auto& denial = parent.denial(); denial && watch.denied != static_cast<std::uint8_t>(denial->reason)) {
      watch.denied = static_cast<std::uint8_t>(denial->reason);
      ops::log::warning("parent_denied", {{"parent", name}, {"reason", wire::to_text(denial->reason)}});
    }
    if (!parent.leased() && now.mono > watch.since + kParentMissing) {
      watch.since = now.mono;
      if (!std::exchange(watch.warned, true)) {
        ops::log::warning(
            "parent_missing",
            {{"parent", name},
             {"hint", !uplinks_.problem(p).empty() ? uplinks_.problem(p)
                      : parent.denial()
                          ? std::string{"it answers, and denies the join: "} + wire::to_text(parent.denial()->reason)
                      : parent.answers()
                          ? std::string{"it answers but does not accept: is public_key its key, and is this node in "
                                        "its [[downstream]]?"}
                          : std::string{"no answer at all: is the address right, does it run, is UDP let through?"}}});
      }
      if (!parent.holds_cookie()) uplinks_.refresh(p);
    }
  }
}

void FeedThread::watch_multicast(std::size_t p, const std::string& name) {
  const MulticastUplink* multicast = feed_->multicast(p);
  if (multicast == nullptr) return;
  ParentWatch& watch = parents_[p];
  if (const std::string& problem = uplinks_.multicast_problem(p); problem != watch.multicast_problem) {
    watch.multicast_problem = problem;
    if (!problem.empty())
      ops::log::warning("multicast_unavailable",
                        {{"parent", name}, {"reason", problem}, {"hint", "frames come by unicast; it is tried again"}});
  }
  const bool delivers = multicast->way.wanted() == wire::Delivery::multicast;
  if (delivers == watch.by_multicast) return;
  watch.by_multicast = delivers;
  ops::log::info("delivery", {{"parent", name}, {"by", delivers ? "multicast" : "unicast"}});
}

void FeedThread::watch_multicast_below() {
  std::uint64_t sent = 0, dropped = 0;
  for (const auto& worker : setup_.workers) {
    const net::MulticastSendCounters* counters = worker->multicast_counters();
    if (counters == nullptr) continue;
    sent += counters->sent.get();
    dropped += counters->congested.get() + counters->unreachable.get() + counters->other.get();
  }
  const bool fails = dropped > multicast_dropped_;
  const bool works = sent > multicast_sent_;
  if (fails && !works && !std::exchange(multicast_fails_, true)) {
    ops::log::warning("multicast_not_sent",
                      {{"group", to_string(config_.listen->multicast->group)},
                       {"interface", config_.listen->multicast->interface},
                       {"hint", "is the interface up, with an address? those below take frames by unicast meanwhile"}});
  } else if (works && !fails && std::exchange(multicast_fails_, false)) {
    ops::log::info("multicast_sent_again", {{"group", to_string(config_.listen->multicast->group)}});
  }
  multicast_sent_ = sent;
  multicast_dropped_ = dropped;
}

// Alive means: this thread turns (it is here), and so does every worker.
void FeedThread::feed_watchdog(Moment now) {
  // What cannot work any more must not go on taking listeners: a new process can.
  const bool failed = join_failed_ || std::any_of(setup_.workers.begin(), setup_.workers.end(),
                                                  [](const auto& worker) { return worker->failed(); });
  if (failed && !stopping_since_) stop(now, ExitCode::os);
  bool alive = true;
  for (std::size_t w = 0; w < setup_.workers.size(); ++w) {
    const std::uint64_t turns = setup_.workers[w]->turns();
    if (turns != turns_seen_[w]) {
      turns_seen_[w] = turns;
      turns_at_[w] = now.mono;
    }
    if (now.mono > turns_at_[w] + kWorkerStalled) alive = false;
  }
  if (alive) {
    stall_told_ = false;
  } else if (!std::exchange(stall_told_, true)) {
    ops::log::error("worker_stalled", {{"hint", "the watchdog is no longer fed"}});
  }
  const auto interval = notifier_.watchdog_interval();
  if (!alive || !interval || now.mono < next_watchdog_) return;
  next_watchdog_ = now.mono + std::min<Duration>(*interval / 3, 5s);
  notifier_.watchdog();
  notifier_.status(status_line());
}

std::string FeedThread::status_line() const {
  std::uint64_t listeners = 0;
  for (const auto& group : feed_->groups()) listeners += feed_->tally(group->group.index).listeners;
  std::size_t live = 0;
  const Time now = net::read_clocks().mono;
  for (const auto& parent : feed_->parents()) live += parent.may_be_asked() && parent.live(now) ? 1 : 0;
  std::string line = (draining_ ? "draining, " + std::to_string(feed_->leases()) + " lease(s) left: " : "") +
                     std::to_string(feed_->groups().size()) + " group(s), " + std::to_string(listeners) +
                     " listener(s)";
  if (!feed_->parents().empty())
    line += ", " + std::to_string(live) + " of " +
            std::to_string(std::min(feed_->parents().size(), feed_->choice().wanted())) + " parent(s) live";
  return line;
}

std::optional<std::string> FeedThread::answer(std::string_view request, std::uint64_t connection) {
  const Moment now = net::read_clocks();
  const std::size_t space = request.find(' ');
  const std::string_view verb = request.substr(0, space);
  const std::string_view argument = space == std::string_view::npos ? std::string_view{} : request.substr(space + 1);
  if (verb == "status")
    return status_json(
        {config_, setup_.backend, *feed_, setup_.workers, setup_.media, uplinks_, outlet_, loop_, setup_.join_sockets,
         setup_.start, turns_at_, placement_counters_, drain_status(now), setup_.commands->counters()},
        now);
  if (verb == "drain") return answer_drain(argument, connection, now);
  if (verb == "reload") {
    if (draining_ || stopping_since_) return error_json("this node is stopping");
    if (!request_reload(connection)) return error_json("too many wait for a reload already");
    return std::nullopt;
  }
  const auto found = std::find_if(feed_->groups().begin(), feed_->groups().end(), [&](const auto& group) {
    return group->group.name == argument || std::to_string(group->group.id.value) == argument;
  });
  if (verb != "end" && verb != "rotate") return error_json("unknown request");
  if (found == feed_->groups().end()) return error_json("this node has no group " + std::string{argument});
  const GroupIndex index = (*found)->group.index;
  if (verb == "end") {
    if (!feed_->end_group(index, now)) return error_json("no source of this group is here: end it at its origin");
    ops::log::info("broadcast_ended", {{"group", (*found)->group.name}});
    return ok_json("ended");
  }
  const std::string later = feed_->rotate(index, now);
  if (later.starts_with("no source")) return error_json(later);
  return ok_json(later.empty() ? "rotating" : later);
}

}  // namespace tiercast::node
