#include "config/changes.hpp"

#include <algorithm>
#include <tuple>

#include "relay/wire/limits.hpp"

namespace tiercast::config {
namespace {

std::string quoted(const std::string& text) { return "\"" + text + "\""; }
std::string to_text(const Group& group) { return "group " + quoted(group.name); }
std::string to_text(const Downstream& downstream) { return "downstream " + quoted(downstream.name); }
std::string to_text(const Upstream& upstream) {
  const auto& multicast = upstream.multicast;
  return "upstream " + to_string(upstream.address) +
         (multicast ? " with multicast " + to_string(multicast->group) + "@" + multicast->interface : "");
}
std::string to_text(const std::optional<MulticastOut>& multicast) {
  if (!multicast) return "";
  return to_string(multicast->group) + "@" + multicast->interface + " ttl " + std::to_string(multicast->ttl);
}
std::string to_text(const std::vector<Endpoint>& addresses) {
  std::string out;
  for (const Endpoint& address : addresses) out += (out.empty() ? "" : ", ") + to_string(address);
  return out;
}
std::string to_text(const std::vector<unsigned>& cpus) {
  std::string out;
  for (const unsigned cpu : cpus) out += (out.empty() ? "" : ", ") + std::to_string(cpu);
  return out;
}
std::string to_text(const std::optional<unsigned>& cpu) { return cpu ? std::to_string(*cpu) : ""; }
const char* to_text(bool b) { return b ? "true" : "false"; }

std::string to_text(Duration rotate) {
  if (rotate == Duration::zero()) return "off";
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(rotate).count()) + "s";
}

template <class T, class Same>
bool has(const std::vector<T>& all, const T& one, Same same) {
  return std::any_of(all.begin(), all.end(), [&](const T& other) { return same(one, other); });
}

bool same_relay(const Downstream& a, const Downstream& b) { return a.public_key == b.public_key; }
bool same_parent(const Upstream& a, const Upstream& b) {
  return std::tie(a.address.host, a.address.port, a.public_key, a.multicast) ==
         std::tie(b.address.host, b.address.port, b.public_key, b.multicast);
}

class Comparison {
 public:
  Comparison(const Config& running, const Config& wanted, const EdgeSerials& seen)
      : running_(running), wanted_(wanted), seen_(seen) {
    out_.result = running;
  }

  Changes run() {
    compare_node();
    compare_listen();
    if (running_.admin.socket != wanted_.admin.socket)
      differs("admin.socket", running_.admin.socket, wanted_.admin.socket);
    compare_log();
    compare_edges();
    out_.downstreams = compare_list(running_.downstreams, wanted_.downstreams, same_relay);
    out_.result.downstreams = wanted_.downstreams;
    out_.upstreams = compare_list(running_.upstreams, wanted_.upstreams, same_parent);
    out_.result.upstreams = wanted_.upstreams;
    if (running_.node.parents != wanted_.node.parents) {
      out_.result.node.parents = wanted_.node.parents;
      out_.upstreams = true;
      applied("node.parents = " + std::to_string(wanted_.node.parents));
    }
    // Which of them are live and which stand by follows from their order too.
    const bool some_stand_by = wanted_.upstreams.size() > static_cast<std::size_t>(wanted_.node.parents);
    if (!out_.upstreams && some_stand_by &&
        !std::equal(running_.upstreams.begin(), running_.upstreams.end(), wanted_.upstreams.begin(),
                    wanted_.upstreams.end(), same_parent)) {
      out_.upstreams = true;
      applied("the order of [[upstream]]");
    }
    remove_groups();
    for (const Group& group : wanted_.groups) {
      if (const Group* old = find_group(running_, group.id)) {
        compare_group(*old, group);
      } else {
        add_group(group);
      }
    }
    return std::move(out_);
  }

 private:
  void applied(std::string line) { out_.applied.push_back(std::move(line)); }
  void restart(std::string line) { out_.restart.push_back(std::move(line)); }
  void differs(const std::string& what, const std::string& old, const std::string& now) {
    const auto shown = [](const std::string& value) { return value.empty() ? std::string{"none"} : value; };
    restart(what + ": " + shown(old) + " runs, the file says " + shown(now));
  }

  void compare_node() {
    if (running_.node.name != wanted_.node.name) differs("node.name", running_.node.name, wanted_.node.name);
    if (running_.node.key != wanted_.node.key) differs("node.key", running_.node.key.path, wanted_.node.key.path);
    if (running_.node.state != wanted_.node.state) differs("node.state", running_.node.state, wanted_.node.state);
    if (running_.node.drain != wanted_.node.drain) {
      out_.result.node.drain = wanted_.node.drain;
      applied("node.drain = " + to_text(wanted_.node.drain));
    }
    if (running_.node.cpu != wanted_.node.cpu)
      differs("node.cpu", to_text(running_.node.cpu), to_text(wanted_.node.cpu));
  }

  void compare_listen() {
    if (running_.listen.has_value() != wanted_.listen.has_value())
      return differs("[listen]", running_.listen ? to_text(running_.listen->addresses) : "",
                     wanted_.listen ? to_text(wanted_.listen->addresses) : "");
    if (!running_.listen) return;
    const Listen &old = *running_.listen, &now = *wanted_.listen;
    if (old.addresses != now.addresses) differs("listen.address", to_text(old.addresses), to_text(now.addresses));
    if (old.multicast != now.multicast) differs("listen.multicast", to_text(old.multicast), to_text(now.multicast));
    if (old.workers != now.workers) differs("listen.workers", std::to_string(old.workers), std::to_string(now.workers));
    if (old.backend != now.backend) differs("listen.backend", to_text(old.backend), to_text(now.backend));
    if (old.spread != now.spread) differs("listen.spread", std::to_string(old.spread), std::to_string(now.spread));
    if (old.cpus != now.cpus) differs("listen.cpus", to_text(old.cpus), to_text(now.cpus));
    if (old.busy_poll != now.busy_poll)
      differs("listen.busy_poll", std::to_string(old.busy_poll), std::to_string(now.busy_poll));
    if (old.max_leases != now.max_leases)
      differs("listen.max_leases", std::to_string(old.max_leases), std::to_string(now.max_leases));
  }

  void compare_log() {
    if (running_.log_level == wanted_.log_level) return;
    out_.log_level = true;
    out_.result.log_level = wanted_.log_level;
    applied(std::string{"log level "} + to_text(wanted_.log_level));
  }

  void compare_edges() {
    const auto &old = running_.edges, &now = wanted_.edges;
    if (old == now) return;
    // A list that was brought back by mistake, or by somebody who wants edges of old asked again.
    const bool same_operator = old && now && old->operator_key == now->operator_key;
    const std::uint64_t running = same_operator ? old->list.serial : 0;
    const std::uint64_t highest = now ? std::max(running, seen_.highest(now->operator_key)) : 0;
    if (now && now->list.serial < highest)
      return restart("edges: " + now->file + " has serial " + std::to_string(now->list.serial) + ", older than " +
                     std::to_string(highest) + ", which " + (running == highest ? "runs" : "ran before"));
    out_.edges = true;
    out_.result.edges = now;
    applied(now ? "edges: " + std::to_string(now->list.count()) + " in " + now->file + ", serial " +
                      std::to_string(now->list.serial)
                : "no edges any more");
  }

  template <class T, class Same>
  bool compare_list(const std::vector<T>& old, const std::vector<T>& now, Same same) {
    bool any = false;
    for (const T& one : old) {
      if (has(now, one, same)) continue;
      applied(to_text(one) + " removed");
      any = true;
    }
    for (const T& one : now) {
      if (has(old, one, same)) continue;
      applied(to_text(one) + " added");
      any = true;
    }
    return any;
  }

  void remove_groups() {
    for (const Group& group : running_.groups) {
      if (find_group(wanted_, group.id)) continue;
      if (group.source) {
        restart(to_text(group) + ": its source is here, so that removing it needs a restart; `tiercast end " +
                group.name + "` ends the broadcast");
        continue;
      }
      std::erase_if(out_.result.groups, [&](const Group& other) { return other.id == group.id; });
      out_.groups_removed.push_back(group.id);
      applied(to_text(group) + " removed");
    }
  }

  void add_group(const Group& group) {
    const bool name_taken = std::any_of(out_.result.groups.begin(), out_.result.groups.end(),
                                        [&](const Group& other) { return other.name == group.name; });
    if (name_taken) return restart(to_text(group) + ": added under the name of a group that stays until a restart");
    if (out_.result.groups.size() >= wire::kMaxGroups)
      return restart(to_text(group) + ": added, but with those that stay until a restart there are too many");
    if (group.source && group.source->kind != InputKind::rtp)
      return restart(to_text(group) + ": added with a source that is not RTP");
    if (group.source && !running_.is_origin())
      return restart(to_text(group) + ": added with a source, and this node runs without any");
    out_.result.groups.push_back(group);
    out_.groups_added.push_back(group.id);
    applied(to_text(group) + " added");
  }

  void compare_group(const Group& old, const Group& now) {
    const std::string name = to_text(old);
    if (old.name != now.name) differs(name + ": name", quoted(old.name), quoted(now.name));
    if (old.frame_ms != now.frame_ms)
      differs(name + ": frame_ms", std::to_string(old.frame_ms), std::to_string(now.frame_ms));
    if (old.sources != now.sources) restart(name + ": sources are others");
    if (old.source != now.source) restart(name + ": source is another");
    if (old.admission != now.admission) restart(name + ": admission is another");
    if (old.keys != now.keys) restart(name + ": keys is another");
    GroupChange change{old.id};
    Group& result = *std::find_if(out_.result.groups.begin(), out_.result.groups.end(),
                                  [&](const Group& group) { return group.id == old.id; });
    if ((change.pinned = old.pinned != now.pinned)) {
      result.pinned = now.pinned;
      applied(name + ": pinned = " + to_text(now.pinned));
    }
    if ((change.parity = old.parity != now.parity)) {
      result.parity = now.parity;
      applied(name + (now.parity.on() ? ": parity = { data = " + std::to_string(now.parity.data) +
                                            ", repair = " + std::to_string(now.parity.repair) + " }"
                                      : ": no parity any more"));
    }
    if ((change.rotate = old.rotate != now.rotate)) {
      result.rotate = now.rotate;
      applied(name + ": rotate = " + to_text(now.rotate));
    }
    if ((change.record = old.record != now.record)) {
      result.record = now.record;
      applied(name + (now.record ? ": recorded in " + now.record->directory : ": recorded no more"));
    }
    if (change.pinned || change.parity || change.rotate || change.record) out_.groups_changed.push_back(change);
  }

  const Config& running_;
  const Config& wanted_;
  const EdgeSerials& seen_;
  Changes out_;
};

}  // namespace

void EdgeSerials::note(const Config& config) {
  if (!config.edges) return;
  const auto at = std::find_if(seen_.begin(), seen_.end(),
                               [&](const Of& of) { return of.operator_key == config.edges->operator_key; });
  if (at != seen_.end()) {
    at->serial = std::max(at->serial, config.edges->list.serial);
    return;
  }
  if (seen_.size() == kMost) seen_.erase(seen_.begin());
  seen_.push_back({config.edges->operator_key, config.edges->list.serial});
}

std::uint64_t EdgeSerials::highest(const crypto::PublicKey& operator_key) const {
  const auto at =
      std::find_if(seen_.begin(), seen_.end(), [&](const Of& of) { return of.operator_key == operator_key; });
  return at == seen_.end() ? 0 : at->serial;
}

Changes changes(const Config& running, const Config& wanted, const EdgeSerials& seen) {
  return Comparison{running, wanted, seen}.run();
}

}  // namespace tiercast::config
