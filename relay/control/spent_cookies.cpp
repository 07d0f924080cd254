#include "relay/control/spent_cookies.hpp"

#include <bit>
#include <cassert>

namespace tiercast::control {

SpentCookies::SpentCookies(std::size_t cookies, std::size_t reply_bytes, Random& random)
    : capacity_(cookies),
      entries_(std::make_unique_for_overwrite<Entry[]>(cookies)),
      heads_(std::bit_ceil(cookies < 2 ? std::size_t{2} : cookies), kNone),
      heads_shift_(64 - static_cast<unsigned>(std::countr_zero(heads_.size()))),
      seed_(random.u64()),
      multipliers_{random.u64() | 1, random.u64() | 1},
      reply_capacity_(reply_bytes),
      replies_(std::make_unique_for_overwrite<std::uint8_t[]>(reply_bytes)),
      failures_(kFailures) {
  assert(cookies >= 1 && cookies < kNone && reply_bytes >= wire::kMaxDatagram);
}

std::uint64_t SpentCookies::mixed(const wire::Cookie& cookie) const {
  // Multiply-shift with secret parameters: cookies can be collected, but not sorted by the chain that they fall in.
  return (load_be<8>(cookie.data()) ^ seed_) * multipliers_[0] + load_be<8>(cookie.data() + 8) * multipliers_[1];
}

SpentCookies::Index SpentCookies::find(const wire::Cookie& cookie) const {
  Index at = heads_[mixed(cookie) >> heads_shift_];
  while (at != kNone && entries_[at].cookie != cookie) at = entries_[at].next;
  return at;
}

bool SpentCookies::has_room(Time now) const {
  // A cookie is spent within its life, so that it is of no use a life after that, whenever it was issued.
  return used_ < capacity_ || now - entries_[oldest_].at > wire::kCookieLife;
}

SpentCookies::Index SpentCookies::spend(const wire::Cookie& cookie, const JoinHash& join, Time now) {
  assert(has_room(now));
  const auto at = static_cast<Index>(used_ < capacity_ ? used_ : oldest_);
  if (used_ < capacity_) {
    ++used_;
  } else {
    forget(at);
    oldest_ = (oldest_ + 1) % capacity_;
  }
  Index& head = head_of(cookie);
  entries_[at] = Entry{.cookie = cookie, .join = join, .at = now, .reply_at = 0, .next = head, .reply_length = 0};
  head = at;
  return at;
}

void SpentCookies::forget(Index entry) {
  Index* link = &head_of(entries_[entry].cookie);
  while (*link != entry) link = &entries_[*link].next;
  *link = entries_[entry].next;
}

void SpentCookies::keep_reply(Index entry, Bytes reply) {
  assert(reply.size() <= wire::kMaxDatagram);
  const std::size_t at = reply_end_ % reply_capacity_;
  if (at + reply.size() > reply_capacity_) reply_end_ += reply_capacity_ - at;  // answers lie in one piece
  entries_[entry].reply_at = reply_end_;
  entries_[entry].reply_length = static_cast<std::uint16_t>(reply.size());
  std::copy(reply.begin(), reply.end(), &replies_[reply_end_ % reply_capacity_]);
  reply_end_ += reply.size();
}

Bytes SpentCookies::reply(Index entry, const JoinHash& join, Time now) const {
  const Entry& e = entries_[entry];
  if (e.join != join || now - e.at > wire::kAcceptReplay || reply_end_ - e.reply_at > reply_capacity_) return {};
  return {&replies_[e.reply_at % reply_capacity_], e.reply_length};
}

void SpentCookies::note_failure(const wire::Cookie& cookie) {
  const std::uint64_t tag = mixed(cookie);
  Failures& f = failures_[tag >> kFailuresShift];
  if (f.tag != tag) f = Failures{.tag = tag, .count = 0};
  if (f.count < kMaxFailures) ++f.count;
}

bool SpentCookies::failed_too_often(const wire::Cookie& cookie) const {
  const std::uint64_t tag = mixed(cookie);
  const Failures& f = failures_[tag >> kFailuresShift];
  return f.tag == tag && f.count >= kMaxFailures;
}

}  // namespace tiercast::control
