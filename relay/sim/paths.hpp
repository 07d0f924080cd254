// Every frame is delivered while its listener has one connected path within the playout deadline. What that means here:
//
// An edge from a parent to its child is *solid* while both run and are neither paused nor (the parent's workers)
// stalled, the link is clean both ways (it may be slow or uneven, it loses, alters and doubles nothing), the child
// takes the parent for live (it does not stand by) and, a relay, its subscription has been confirmed. since(n), of each
// source by itself, is when a connected path from its origin to n began that has held until now: at the origin since it
// runs, elsewhere the earliest, over all parents, of the later of since(parent) and the time since which that edge is
// solid. A frame that the origin sealed at t is owed to a listener if since(listener) ≤ t - 1 s still holds at t + its
// playout delay + what the way takes at most; then the listener has played its sequence by that time, as that origin's
// frame or as the other one's. While the two origins are apart (origins.hpp) there are two streams, of which a listener
// can play one: no path counts.
#pragma once

#include <map>
#include <unordered_map>

#include "relay/sim/world.hpp"

namespace tiercast::sim {

class Paths final : public Observer {
 public:
  /// `way`: what a datagram takes at most from an origin to a listener over solid edges.
  Paths(World& world, Duration way);
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
    std::uint32_t place;
    Time at;
  };
  /// A number, from 0, for every sequence of a group that was sealed or played.
  using Places = std::unordered_map<std::uint64_t, std::uint32_t>;
  /// One origin's of one group.
  struct Stream {
    std::size_t group = 0;
    SourceId source;
    std::vector<Sealed> sealed;
    std::vector<Time> since;                             // by node
    std::map<std::pair<Host, std::size_t>, Time> edges;  // child and parent: solid since
    Time origin = kNever;                                // running since
  };
  struct Listener {
    struct OfStream {
      Time since = kNever;
      std::size_t next = 0;  // of the stream's `sealed`: checked up to there
    };
    std::array<OfStream, wire::kMaxSources> of;  // by source, from 1
    std::vector<bool> heard;                     // by place
  };

  std::uint32_t place(std::size_t group, Sequence sequence) {
    Places& places = places_[group];
    return places.try_emplace(sequence.value, static_cast<std::uint32_t>(places.size())).first->second;
  }
  bool passes(Host child, std::size_t parent) const;
  Time through(Stream& stream, Host child, std::size_t parent, bool solid);
  Time node_since(Stream& stream, std::size_t n);
  Time listener_since(Stream& stream, std::size_t l);
  void check(const Stream& stream, std::size_t l);
  Duration playout_of(const ListenerSpec& spec) const;

  World& world_;
  const Duration way_;
  std::vector<Stream> streams_;
  std::vector<Places> places_;  // by group
  std::vector<Listener> listeners_;
  std::uint64_t owed_ = 0;
};

}  // namespace tiercast::sim
