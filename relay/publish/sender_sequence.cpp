// RFC 3550 §A.1 without its probation of a new source (a talk's first word would be lost), with a memory of 64 numbers
// in place of "duplicate or reordered".
#include "relay/publish/sender_sequence.hpp"

namespace tiercast::publish {

SenderSequence::SenderSequence(std::uint32_t ssrc, std::uint16_t first) : ssrc_(ssrc), first_(first), newest_(first) {}

bool SenderSequence::seen(std::int64_t number) const {
  const std::int64_t back = newest_ - number;
  return back >= 0 && back < kRemembered && (seen_ >> back & 1) != 0;
}

Arrived SenderSequence::on_packet(std::uint16_t sequence_number) {
  const auto ahead = static_cast<std::uint16_t>(sequence_number - static_cast<std::uint16_t>(newest_));
  if (ahead == 0) return {Arrival::duplicate, newest_};
  if (ahead < kMaxDropout) {
    after_jump_ = -1;
    newest_ += ahead;
    seen_ = ahead < kRemembered ? seen_ << ahead | 1 : 1;
    ++received_;
    return {Arrival::newer, newest_};
  }
  if (ahead <= 65536 - kMaxMisorder) {
    if (sequence_number == after_jump_) return {Arrival::restart, 0};
    after_jump_ = static_cast<std::uint16_t>(sequence_number + 1);
    return {Arrival::jump, 0};
  }
  const std::int64_t number = newest_ - (65536 - ahead);
  if (seen(number)) return {Arrival::duplicate, number};
  if (newest_ - number < kRemembered) {
    seen_ |= std::uint64_t{1} << (newest_ - number);
    if (number >= first_) ++received_;  // what precedes the first one is not among the expected
  }
  return {Arrival::older, number};
}

bool SenderSequence::all_received(std::int64_t from, std::int64_t to) const {
  if (to - from > kRemembered) return false;
  for (std::int64_t number = from; number < to; ++number)
    if (!seen(number)) return false;
  return true;
}

std::uint64_t SenderSequence::lost() const {
  const auto expected = static_cast<std::uint64_t>(newest_ - first_ + 1);
  return expected > received_ ? expected - received_ : 0;
}

}  // namespace tiercast::publish
