// How far the stream is, as the listeners of one process know from all they got together. Pure.
#pragma once

#include <array>

#include "relay/base/types.hpp"

namespace tiercast::measure {

class LoadProgress {
 public:
  /// What came so long ago has come to everybody, or is lost: a round of sending takes less, and so does any queue
  /// here.
  static constexpr Duration kSettled = 300ms;

  void on_frame(Sequence sequence, Time now) {
    if (first_.value == 0) first_ = sequence;
    if (sequence <= highest_) return;
    highest_ = sequence;
    last_at_ = now;
    // One in a few ms is kept: so many reach back over kSettled, whatever the frame length.
    Arrival& newest = arrivals_[next_ % arrivals_.size()];
    if (newest.sequence.value != 0 && now - newest.at < 4ms) {
      newest.sequence = sequence;
    } else {
      arrivals_[++next_ % arrivals_.size()] = {sequence, now};
    }
  }
  /// The highest sequence that everybody should have by now; 0: none yet.
  Sequence settled(Time now) const {
    for (std::size_t back = 0; back < arrivals_.size() && back <= next_; ++back) {
      const Arrival& arrival = arrivals_[(next_ - back) % arrivals_.size()];
      if (arrival.sequence.value != 0 && now - arrival.at >= kSettled) return arrival.sequence;
    }
    return Sequence{};
  }
  Sequence first() const { return first_; }  // that anybody got; 0: none came
  Sequence highest() const { return highest_; }
  Time last_at() const { return last_at_; }  // when the highest one came first

 private:
  struct Arrival {
    Sequence sequence;
    Time at;
  };
  std::array<Arrival, 128> arrivals_{};
  std::size_t next_ = 0;
  Sequence first_, highest_;
  Time last_at_{};
};

}  // namespace tiercast::measure
