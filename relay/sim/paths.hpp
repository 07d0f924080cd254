// Every frame is delivered while its listener has one connected path within the playout deadline. What that means here:
//
// An edge from a parent to its child is *solid* while both run and are neither paused nor (the parent's workers)
// stalled, the link is clean both ways (it may be slow or uneven, it loses, alters and doubles nothing), the child
// takes the parent for live (it does not stand by) and, a relay, its subscription has been confirmed. since(n) is when
// a connected path from an origin to n began that has held until now: at the origin since it runs, elsewhere the
// earliest, over all parents, of the later of since(parent) and the time since which that edge is solid. A frame that
// the origin sealed at t is owed to a listener if since(listener) ≤ t - 1 s still holds at t + its playout delay + what
// the way takes at most; then the listener has played it by that time.
#pragma once

#include <map>
#include <unordered_map>

#include "relay/sim/world.hpp"

namespace tiercast::sim {

class Paths final : public Observer {
 public:
  /// `way`: what a datagram takes at most from an origin to a listener over solid edges.
  Paths(World& world, Duration way) : world_(world), way_(way), groups_(world.groups().size()) {}
  /// At least every frame.
  void look();
  /// A path through it is broken, and begins anew at once: its address changed.
  void disturb(Host host);
  /// Every listener that runs has had a path for a second.
  void expect_all() const;
  std::uint64_t owed() const { return owed_; }

  void on_sent(const Endpoint& from, const Endpoint& to, Bytes datagram) override;
  void on_played(std::size_t listener, const receive::Played& played) override;

  static constexpr Duration kSettles = 1s;

 private:
  struct Sealed {
    std::uint64_t sequence;
    Time at;
  };
  struct Group {
    std::vector<Sealed> sealed;
    std::unordered_map<std::uint64_t, std::uint32_t> place;  // by sequence, in `sealed`
    std::vector<Time> since;                                 // by node
    std::map<std::pair<Host, std::size_t>, Time> edges;      // child and parent: solid since
    std::map<std::size_t, Time> origins;                     // running since
  };
  struct Listener {
    Time since = kNever;
    std::size_t next = 0;     // of its group's `sealed`: checked up to there
    std::vector<bool> heard;  // by place
  };

  bool passes(Host child, std::size_t parent) const;
  Time through(Group& group, Host child, std::size_t parent, bool solid);
  Time node_since(std::size_t g, std::size_t n);
  Time listener_since(std::size_t l);
  void check(std::size_t l);
  Duration playout_of(const ListenerSpec& spec) const;

  World& world_;
  const Duration way_;
  std::vector<Group> groups_;
  std::vector<Listener> listeners_;
  std::uint64_t owed_ = 0;
};

}  // namespace tiercast::sim
