// What the network does to a datagram: it comes late, twice, out of order, altered, or not at all. One seed, one fate.
// Knows hosts and sizes, never what a datagram says.
#pragma once

#include <array>
#include <unordered_map>

#include "relay/base/inline_vector.hpp"
#include "relay/sim/addresses.hpp"
#include "relay/sim/random.hpp"

namespace tiercast::sim {

/// One direction between two hosts. Probabilities are per datagram.
struct LinkModel {
  Duration delay = 5ms;
  Duration jitter{};  // uniform, beyond the delay; what overtakes another one is out of order
  double loss = 0;    // each datagram by itself
  double late = 0;    // delayed by `late_by` more: reordering without jitter
  Duration late_by{};
  double duplicated = 0;
  double corrupted = 0;     // some of its bits are others, and no checksum tells
  std::size_t mtu = 65535;  // UDP payload, bytes: longer ones vanish
  bool cut = false;         // nothing passes

  /// Bursts (Gilbert and Elliott's model): a good state loses nothing, a bad one `burst_loss` of all.
  double burst_begins = 0;  // good to bad, before each datagram
  double burst_ends = 1;    // bad to good
  double burst_loss = 1;
  /// Bursts of `mean` datagrams in which all are lost, so that `share` of all are.
  static LinkModel bursty(double share, double mean, Duration delay);

  /// What is sent is certain to come, once, unaltered.
  bool clean() const {
    return !cut && loss == 0 && late == 0 && duplicated == 0 && corrupted == 0 && burst_begins == 0 && mtu >= 1232;
  }
};

class Network {
 public:
  explicit Network(std::uint64_t seed) : random_(SeededRandom::of(seed, 1)) {}

  /// Of every link that has none of its own.
  LinkModel base;
  void set(Host from, Host to, const LinkModel& model) { links_[key(from, to)].model = model; }
  void set_both(Host a, Host b, const LinkModel& model) {
    set(a, b, model);
    set(b, a, model);
  }
  /// All links are as `base` again.
  void forget_links() { links_.clear(); }
  const LinkModel& model(Host from, Host to) const;
  /// Hosts of different sides reach each other by no link; all are on side 0 at first.
  void put_on_side(Host host, unsigned side) { sides_[host.number()] = side; }
  void heal_partition() { sides_.clear(); }
  bool reachable(Host from, Host to) const;

  struct Arrival {
    Duration after{};
    bool corrupted = false;
  };
  using Arrivals = InlineVector<Arrival, 2>;
  /// What becomes of a datagram of `size` bytes.
  Arrivals carry(Host from, Host to, std::size_t size);
  /// Alters one to four bits.
  void corrupt(MutableBytes datagram);

 private:
  struct Link {
    LinkModel model;
    bool bad = false;
  };
  static std::uint64_t key(Host from, Host to) { return std::uint64_t{from.number()} << 24 | to.number(); }
  bool lost(Link* link, const LinkModel& model);
  Arrival arrival(const LinkModel& model);

  SeededRandom random_;
  std::unordered_map<std::uint64_t, Link> links_;
  std::unordered_map<std::uint64_t, bool> bad_;  // of links as `base`, where that is bursty
  std::unordered_map<std::uint32_t, unsigned> sides_;
};

}  // namespace tiercast::sim
