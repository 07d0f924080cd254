// When a sequence should arrive: earliest arrivals tell, as only the network's delay varies. Knows no frame's bytes.
#pragma once

#include <algorithm>
#include <array>
#include <optional>

#include "relay/base/types.hpp"

namespace tiercast::receive {

/// The anchor is the least of (arrival - sequence × frame) over the last 5 to 10 s. Anyone who holds the group's key
/// can make a frame from the future, which would move the anchor and thereby hurry every deadline; so from the first
/// attested frame on only attested ones count, and until then the median of the last few does.
///
/// Where all that comes for a while is later than it should be, the stream itself is: its origin began anew with a
/// clock that was behind, or the way is another. Then the anchor moves back at once: by the old one every missing frame
/// would be given up before anybody could ask for it.
///
/// Until that is sure, the newest frame's own lateness moves only what is given up: after a silence of the stream (an
/// origin moves its numbers back by leaving out packets) the first ones are late already by more than the playout
/// delay, and in strict mode their attestations are still to come. It holds until a newest frame comes that is less
/// late. What is made up can so keep a missing frame waited for as long as what is newest really is late, and hurry
/// nothing.
class PlayoutClock {
 public:
  explicit PlayoutClock(Duration frame) : frame_(frame) {}

  /// The sequences start anew around `at`: forgets everything.
  void restart(Sequence at) {
    *this = PlayoutClock{frame_};
    reference_ = at;
  }
  void sample(Sequence sequence, Time arrived, bool attested) {
    const Time start = arrived - span_to(sequence);
    if (!attested) return guess(start);
    if (!bucket_began_) {
      current_ = start;
      bucket_began_ = arrived;
    } else if (arrived - *bucket_began_ >= kBucket) {
      previous_ = current_;
      current_ = start;
      bucket_began_ = arrived;
    }
    current_ = std::min(current_, start);
    if (!anchor_ || start <= *anchor_ + kLate) {
      late_since_.reset();
    } else if (!late_since_) {
      late_since_ = arrived;
      least_late_ = start;
    } else {
      least_late_ = std::min(least_late_, start);
      if (arrived - *late_since_ >= kAllLate) {
        previous_.reset();
        current_ = least_late_;
        bucket_began_ = late_since_;
        late_since_.reset();
      }
    }
    anchor_ = previous_ ? std::min(*previous_, current_) : current_;
  }
  /// Nothing later is known of than this one, which came at `arrived`.
  void newest(Sequence sequence, Time arrived) {
    if (!bucket_began_) return;  // until then all that comes counts
    const Time start = arrived - span_to(sequence);
    late_anchor_ = late_anchor_ ? std::min(*late_anchor_, start) : start;
    if (*late_anchor_ <= *anchor_ + kLate) late_anchor_.reset();
  }
  /// When it comes if nothing delays it. kNever before the first sample.
  Time expected(Sequence sequence) const { return anchor_ ? *anchor_ + span_to(sequence) : kNever; }
  /// The same, if all of the stream is as late as what is newest.
  Time expected_at_latest(Sequence sequence) const {
    return late_anchor_ ? std::max(*late_anchor_, *anchor_) + span_to(sequence) : expected(sequence);
  }

 private:
  static constexpr Duration kBucket = 5s;
  static constexpr Duration kLate = 50ms;      // a quarter of the usual playout delay
  static constexpr Duration kAllLate = 250ms;  // half an attestation's run
  static constexpr std::size_t kGuesses = 9;
  void guess(Time start) {
    if (bucket_began_) return;
    guesses_[guess_count_++ % kGuesses] = start;
    auto sorted = guesses_;
    const auto end = sorted.begin() + static_cast<std::ptrdiff_t>(std::min(guess_count_, kGuesses));
    std::sort(sorted.begin(), end);
    anchor_ = sorted[static_cast<std::size_t>(end - sorted.begin()) / 2];  // of two the later: rather wait
  }
  /// From the reference; the caller keeps sequences near it (seconds; a year is still far from overflow).
  Duration span_to(Sequence sequence) const {
    return frame_ * static_cast<Duration::rep>(sequence.value - reference_.value);
  }
  Duration frame_;
  Sequence reference_;
  std::optional<Time> anchor_;
  std::array<Time, kGuesses> guesses_{};
  std::size_t guess_count_ = 0;
  Time current_;
  std::optional<Time> previous_;
  std::optional<Time> late_since_;    // without a frame in time
  Time least_late_;                   // since then
  std::optional<Time> late_anchor_;   // by the newest frames, while all of these are late
  std::optional<Time> bucket_began_;  // set by the first attested sample
};

}  // namespace tiercast::receive
