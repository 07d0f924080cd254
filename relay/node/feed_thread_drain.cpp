// Before a node stops those below it go elsewhere, while it serves on: the first SIGTERM or SIGINT, `tiercast drain`.
// It stops when all have left but those who cannot, when the time is over, or by a second signal.
#include <algorithm>

#include "relay/base/decimal.hpp"
#include "relay/base/exit_code.hpp"
#include "relay/node/feed_thread.hpp"
#include "relay/ops/log.hpp"

namespace tiercast::node {
namespace {
constexpr Duration kTellFollowers = 500ms;
constexpr Duration kFollowerAsks = 1s;  // again, after an answer: so that it hears how it ended
constexpr unsigned kMostSeconds = 3600;
}  // namespace

void FeedThread::drain(Duration over, Moment now) {
  if (draining_ || stopping_since_) return;
  notifier_.stopping(over + kFollowerAsks + kGoodbye);
  draining_.emplace();
  draining_->until = now.mono + over;
  draining_->next_told = now.mono + kTellFollowers;
  feed_->drain(over, now);
}

void FeedThread::go_on_draining(Moment now) {
  if (!draining_ || stopping_since_) return;
  const std::size_t leases = feed_->leases(), staying = feed_->staying();
  const bool done = leases == staying;
  if (!done && now.mono < draining_->until) {
    if (now.mono >= draining_->next_told) {
      tell_followers(false, now);
      notifier_.status(status_line());
    }
    return;
  }
  // Who follows it asks again at once; it is to hear how it ended.
  if (draining_->asked && draining_->followers.empty() && now.mono < *draining_->asked + kFollowerAsks) {
    draining_->next_told = draining_->until = now.mono + 10ms;
    return;
  }
  tell_followers(true, now);
  if (done) {
    ops::log::info("drained", {{"cannot_leave", staying}});
  } else {
    ops::log::warning("drain_incomplete",
                      {{"leases", leases},
                       {"cannot_leave", staying},
                       {"hint", "the others have not found another parent: do they have one that runs?"}});
  }
  stop(now, ExitCode::ok);
}

void FeedThread::tell_followers(bool over, Moment now) {
  draining_->next_told = now.mono + kTellFollowers;
  if (draining_->followers.empty()) return;
  const std::string text = drain_json(*drain_status(now), over);
  draining_->asked = now.mono;
  for (const std::uint64_t connection : std::exchange(draining_->followers, {}))
    if (admin_) admin_->answer(connection, text);
}

/// `seconds`: empty, as configured; a later request follows what is under way.
std::optional<std::string> FeedThread::answer_drain(std::string_view seconds, std::uint64_t connection, Moment now) {
  if (stopping_since_) return error_json("this node is stopping");
  if (!draining_) {
    Duration over = config_.node.drain;
    if (!seconds.empty()) {
      const auto number = from_decimal<unsigned>(seconds);
      if (!number || *number > kMostSeconds) return error_json("drain SECONDS: 0 to " + std::to_string(kMostSeconds));
      over = std::chrono::seconds{*number};
    }
    ops::log::info("draining", {{"command", "drain"}, {"leases", feed_->leases()}});
    drain(over, now);
  }
  draining_->asked = now.mono;
  draining_->followers.push_back(connection);
  return std::nullopt;
}

std::optional<DrainStatus> FeedThread::drain_status(Moment now) const {
  if (!draining_) return std::nullopt;
  return DrainStatus{feed_->leases(), feed_->staying(), std::max<Duration>(draining_->until - now.mono, 0ns)};
}

}  // namespace tiercast::node
