// What SIGHUP and `tiercast reload` do: the file is read elsewhere (reloader); here what it changes is taken over
// between two turns, all of it or nothing.
#include <algorithm>

#include "relay/node/feed_thread.hpp"
#include "relay/node/make_group.hpp"
#include "relay/node/status.hpp"
#include "relay/ops/log.hpp"

namespace tiercast::node {
namespace {

constexpr std::size_t kMostWaiting = 64;

std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += (out.empty() ? "" : "; ") + line;
  return out.empty() ? "nothing" : out;
}

}  // namespace

bool FeedThread::request_reload(std::optional<std::uint64_t> connection) {
  if (connection) {
    if (waiting_.size() >= kMostWaiting) return false;
    waiting_.push_back(*connection);
  }
  // The one under way may have read the file before it was written.
  reload_wanted_ = true;
  begin_reload();
  return true;
}

void FeedThread::begin_reload() {
  if (!reload_wanted_ || reloader_->busy() || held_ || draining_ || stopping_since_) return;
  reload_wanted_ = false;
  answering_ = std::exchange(waiting_, {});
  notifier_.reloading(net::read_clocks().mono);
  reloader_->start(config_, edges_seen_);
}

void FeedThread::finish_reload(Moment now) {
  auto prepared = held_ ? std::exchange(held_, std::nullopt) : reloader_->take();
  if (!prepared || stopping_since_) return;
  // What workers count of a group goes by its id: its members must have heard that it went before it comes again.
  const auto& added = prepared->changes.groups_added;
  if (std::any_of(added.begin(), added.end(), [this](GroupId id) { return feed_->leaving(id); })) {
    held_ = std::move(prepared);
    return;
  }
  if (prepared->problems.empty()) {
    // A removed group keeps its place until all workers have let go of it, which takes as long as telling its members.
    const std::size_t places = feed_->groups().size() + feed_->leaving() + prepared->changes.groups_added.size();
    if (places > wire::kMaxGroups && !prepared->changes.groups_added.empty())
      prepared->problems.push_back(
          "more than 256 groups at once, with those that are being removed: reload again, first "
          "without the new ones");
  }
  if (!prepared->problems.empty()) Reloader::discard(*prepared);
  if (prepared->problems.empty()) {
    apply(*prepared, now);
    const auto& changes = prepared->changes;
    if (changes.restart.empty()) {
      ops::log::info("reloaded", {{"changed", joined(changes.applied)}});
    } else {
      ops::log::warning("reloaded", {{"changed", joined(changes.applied)}, {"needs_restart", joined(changes.restart)}});
    }
  } else {
    ops::log::error("reload_refused",
                    {{"reason", joined(prepared->problems)}, {"hint", "nothing was changed; what ran goes on"}});
  }
  const std::string text = reload_json(prepared->problems, prepared->changes.applied, prepared->changes.restart);
  for (const std::uint64_t connection : std::exchange(answering_, {}))
    if (admin_) admin_->answer(connection, text);
  notifier_.ready(status_line());
  begin_reload();
}

// All that may fail is behind us. Workers and sockets hear of it in the order in which nobody is missed: who may be
// below, whom to hear, what there is, what there is no more.
void FeedThread::apply(PreparedReload& prepared, Moment now) {
  config::Changes& changes = prepared.changes;
  config_ = changes.result;
  edges_seen_.note(config_);
  if (changes.log_level) ops::log::set_level(log_level(config_));
  if (changes.downstreams) {
    std::vector<crypto::PublicKey> keys;
    for (const auto& downstream : config_.downstreams) keys.push_back(downstream.public_key);
    feed_->set_relay_keys(std::move(keys), now);
  }
  if (changes.edges)
    config_.edges ? feed_->set_edges(keys_of(config_.edges->list), config::told_of(*config_.edges, own_key_), now)
                  : feed_->set_edges({}, {}, now);
  if (changes.edges && config_.edges)
    for (const MovedEdge& moved : moved_edges(present_parents(), config_.edges->list))
      feed_->find_again(moved.parent, moved.edge, now);
  if (changes.upstreams) apply_parents(now);
  for (PreparedGroup& group : prepared.groups) {
    if (group.shared) {
      add_group(group, now);
    } else {
      const GroupIndex index = index_of(group.id);
      feed_->set_recorder(index, recorder_of(*feed_->group_at(index), std::move(group.recording)), now);
    }
  }
  for (const config::GroupChange& change : changes.groups_changed) {
    const config::Group& group = *config::find_group(config_, change.id);
    const GroupIndex index = index_of(change.id);
    if (change.pinned) feed_->set_pinned(index, group.pinned, now);
    if (change.parity) feed_->set_parity(index, group.parity);
    if (change.rotate) feed_->set_rotation(index, group.rotate, now);
  }
  for (const GroupId id : changes.groups_removed) feed_->remove_group(id, now);
}

std::vector<PresentParent> FeedThread::present_parents() const {
  std::vector<PresentParent> out;
  for (std::size_t p = 0; p < parents_.size(); ++p)
    out.push_back({{uplinks_.name(p), feed_->parents()[p].config().key, uplinks_.multicast(p)},
                   feed_->learnt(p),
                   feed_->retiring(p)});
  return out;
}

void FeedThread::apply_parents(Moment now) {
  const auto& wanted = config_.upstreams;
  const ParentChanges changes = parent_changes(present_parents(), wanted);
  for (std::size_t p = 0; p < changes.stays_as.size(); ++p)
    if (changes.stays_as[p]) feed_->keep_parent(p, *changes.stays_as[p]);
  for (const std::size_t p : changes.gone) feed_->retire_parent(p, now);
  for (const std::size_t i : changes.added) {
    uplinks_.add(wanted[i]);
    parents_.emplace_back();
    parents_.back().since = now.mono;
    feed_->add_parent(parent_of(wanted[i]), i, now);
  }
  feed_->set_live_parents(static_cast<std::size_t>(config_.node.parents), now);
}

void FeedThread::add_group(PreparedGroup& prepared, Moment now) {
  const config::Group& from = *config::find_group(config_, prepared.id);
  auto group = std::make_unique<FeedGroup>(std::move(prepared.shared), *random_);
  FeedGroup& of = *group;
  of.pinned = from.pinned;
  of.set_parity(from.parity);
  of.origin = std::move(prepared.origin);
  of.align = make_align_link(from, *setup_.feed.key, *random_, now);
  if (of.align) align_links_.add({from.source->align->address, from.source->align->public_key});
  of.recorder = recorder_of(of, std::move(prepared.recording));
  if (!feed_->add_group(std::move(group), now)) return;  // there is room: see finish_reload()
  inputs_[of.group.index.value] = {};
  if (!prepared.rtp) return;
  if (!receive_rtp(of.group.index, std::move(*prepared.rtp)))
    ops::log::error("rtp_failed", {{"group", from.name}, {"reason", "the io_uring has no room for its socket"}});
}

std::unique_ptr<Recorder> FeedThread::recorder_of(const FeedGroup& group, std::unique_ptr<store::Recording> files) {
  if (!files) return nullptr;
  recovery_->add(files->place());
  return make_recorder(*config::find_group(config_, group.group.id), group.group, std::move(files), *random_,
                       net::read_clocks().mono);
}

GroupIndex FeedThread::index_of(GroupId id) const {
  for (const auto& group : feed_->groups())
    if (group->group.id == id) return group->group.index;
  return kNoGroup;
}

}  // namespace tiercast::node
