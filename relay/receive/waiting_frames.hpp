// Datagrams that cannot be judged yet: a fixed number of copies, the oldest making room for the newest.
#pragma once

#include <algorithm>
#include <vector>

#include "relay/wire/packets.hpp"

namespace tiercast::receive {

class WaitingFrames {
 public:
  struct Frame {
    wire::Header header;
    Time arrived;
    Bytes datagram;  // view, while this place is not given to another
  };

  explicit WaitingFrames(std::size_t places) : places_(places) {}

  bool empty() const { return count_ == 0; }
  std::size_t size() const { return count_; }
  bool contains(Bytes datagram) const {
    return std::any_of(places_.begin(), places_.end(), [&](const Place& p) {
      return p.used && p.size == datagram.size() && std::equal(datagram.begin(), datagram.end(), p.bytes.begin());
    });
  }
  bool contains(Sequence sequence) const {
    return std::any_of(places_.begin(), places_.end(),
                       [&](const Place& p) { return p.used && p.header.sequence == sequence; });
  }
  /// Copies a datagram of at most kMaxSealed bytes. False: an older one had to go for it.
  bool push(const wire::Header& header, Bytes datagram, Time arrived) {
    Place* into = &places_.front();
    for (Place& p : places_)
      if (before(p, *into)) into = &p;
    const bool room = !into->used;
    if (room) ++count_;
    into->used = true;
    into->order = ++order_;
    into->header = header;
    into->arrived = arrived;
    into->size = static_cast<std::uint16_t>(datagram.size());
    std::copy(datagram.begin(), datagram.end(), into->bytes.begin());
    return room;
  }
  /// f(Frame) for each, in no order.
  template <class F>
  void each(F&& f) const {
    for (const Place& p : places_)
      if (p.used) f(view(p));
  }
  /// Takes out, oldest first, those for which wanted(Frame) holds, and gives each to f(Frame).
  template <class Wanted, class F>
  void take(Wanted&& wanted, F&& f) {
    for (std::uint64_t after = 0; count_ != 0;) {
      Place* oldest = nullptr;
      for (Place& p : places_)
        if (p.used && p.order > after && (oldest == nullptr || p.order < oldest->order) && wanted(view(p))) oldest = &p;
      if (oldest == nullptr) return;
      after = oldest->order;
      f(view(*oldest));
      oldest->used = false;
      --count_;
    }
  }
  template <class Wanted>
  std::size_t drop(Wanted&& wanted) {
    std::size_t dropped = 0;
    for (Place& p : places_)
      if (p.used && wanted(view(p))) {
        p.used = false;
        --count_;
        ++dropped;
      }
    return dropped;
  }

 private:
  struct Place {
    bool used = false;
    std::uint16_t size = 0;
    std::uint64_t order = 0;
    wire::Header header;
    Time arrived;
    std::array<std::uint8_t, wire::kMaxSealed> bytes;
  };
  static bool before(const Place& a, const Place& b) { return a.used != b.used ? !a.used : a.order < b.order; }
  static Frame view(const Place& p) { return {p.header, p.arrived, Bytes{p.bytes}.first(p.size)}; }
  std::vector<Place> places_;
  std::size_t count_ = 0;
  std::uint64_t order_ = 0;
};

}  // namespace tiercast::receive
