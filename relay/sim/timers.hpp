// When each of many agents wants to be woken: a binary heap that knows where everybody stands, so that a deadline that
// moves costs a few exchanges. Of equal deadlines the lowest number comes first: one history for one seed.
#pragma once

#include <utility>
#include <vector>

#include "relay/base/types.hpp"

namespace tiercast::sim {

class Timers {
 public:
  /// kNever: not at all.
  void set(std::uint32_t id, Time at) {
    if (id >= at_.size()) {
      at_.resize(id + 1, kNever);
      place_.resize(id + 1, kNowhere);
    }
    if (at == at_[id]) return;
    const bool sooner = at < at_[id];
    at_[id] = at;
    if (at == kNever) return take_out(place_[id]);
    if (place_[id] == kNowhere) {
      place_[id] = static_cast<std::uint32_t>(heap_.size());
      heap_.push_back(id);
      return up(place_[id]);
    }
    sooner ? up(place_[id]) : down(place_[id]);
  }
  Time next() const { return heap_.empty() ? kNever : at_[heap_[0]]; }
  /// Whose time has come, out of the heap until it is set anew; false: nobody's.
  bool take(std::uint32_t& id, Time now) {
    if (next() > now || heap_.empty()) return false;
    id = heap_[0];
    at_[id] = kNever;
    take_out(0);
    return true;
  }

 private:
  static constexpr std::uint32_t kNowhere = 0xffffffff;
  bool before(std::uint32_t a, std::uint32_t b) const { return at_[a] != at_[b] ? at_[a] < at_[b] : a < b; }
  void put(std::uint32_t at, std::uint32_t id) {
    heap_[at] = id;
    place_[id] = at;
  }
  void up(std::uint32_t at) {
    const std::uint32_t id = heap_[at];
    while (at > 0 && before(id, heap_[(at - 1) / 2])) {
      put(at, heap_[(at - 1) / 2]);
      at = (at - 1) / 2;
    }
    put(at, id);
  }
  void down(std::uint32_t at) {
    const std::uint32_t id = heap_[at];
    const auto size = static_cast<std::uint32_t>(heap_.size());
    while (true) {
      std::uint32_t child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && before(heap_[child + 1], heap_[child])) ++child;
      if (!before(heap_[child], id)) break;
      put(at, heap_[child]);
      at = child;
    }
    put(at, id);
  }
  void take_out(std::uint32_t at) {
    place_[heap_[at]] = kNowhere;
    const std::uint32_t last = heap_.back();
    heap_.pop_back();
    if (at == heap_.size()) return;
    put(at, last);
    up(at);
    down(place_[last]);
  }

  std::vector<Time> at_;              // by id
  std::vector<std::uint32_t> place_;  // of each id in heap_
  std::vector<std::uint32_t> heap_;   // ids
};

}  // namespace tiercast::sim
