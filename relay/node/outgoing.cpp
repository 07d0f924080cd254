#include "relay/node/outgoing.hpp"

#include <algorithm>
#include <numeric>

namespace tiercast::node {

void Outgoing::open(std::vector<std::unique_ptr<forward::FanOut>> tables, Duration spread) {
  spread_ = spread;
  listeners_.clear();
  for (auto& table : tables) listeners_.emplace_back(std::move(table));
  under_way_ = false;
  pin_ = {};
  waiting_ = 0;
}

std::size_t Outgoing::size() const {
  return std::accumulate(listeners_.begin(), listeners_.end(), std::size_t{0},
                         [](std::size_t sum, const forward::Destinations& table) { return sum + table.size(); });
}

bool Outgoing::add(const Item& item) {
  if (!under_way_ && waiting_ == 0 && size() == 0) return true;  // to nobody
  if (waiting_ == kWaiting) return false;
  items_[(first_ + waiting_++) % kWaiting] = item;
  if (under_way_) next_ = Time{};  // no time is left to spread the one before it
  return true;
}

// The pin is held for as long as this one is under way: what waits could else keep the feed from its own slots.
bool Outgoing::begin() {
  switch (current_.kind) {
    case Kind::frame: pin_ = history_.frame(Sequence{current_.number}); break;
    case Kind::attestation: pin_ = history_.attestation(current_.number); break;
    case Kind::opaque: pin_ = history_.opaque(current_.number); break;
    case Kind::idle:
      wire::write_header(idle_, current_.idle);
      datagram_ = idle_;
      return true;
  }
  if (!pin_) return false;
  datagram_ = pin_.datagram();
  return true;
}

std::size_t Outgoing::allowed(Time now) const {
  const Duration since = now - started_;
  if (waiting_ > 0 || since + kTick >= spread_) return std::max<std::size_t>(size(), 1);
  const auto ticks = static_cast<std::size_t>(since / kTick) + 1;
  const auto all = static_cast<std::size_t>(spread_ / kTick);
  const std::size_t by_now = (total_ * ticks + all - 1) / all;
  return by_now > done_ ? by_now - done_ : 0;
}

void Outgoing::start_table(std::size_t from) {
  socket_ = from;
  while (socket_ < listeners_.size() && listeners_[socket_].size() == 0) ++socket_;
  if (socket_ < listeners_.size()) listeners_[socket_].start(datagram_);
}

Outgoing::Step Outgoing::step(forward::FanOutResult& result, Time now) {
  if (!under_way_) {
    current_ = items_[first_];
    first_ = (first_ + 1) % kWaiting;
    --waiting_;
    // It is of no use to anybody, and would make the next one late too.
    if (now - current_.told > wire::kStrictPlayout) return Step::late;
    if (!begin()) return Step::gone;
    under_way_ = true;
    started_ = now;
    done_ = 0;
    total_ = size();
    start_table(0);
  }
  std::size_t left = allowed(now);
  while (left > 0 && socket_ < listeners_.size()) {
    forward::FanOutResult piece;
    const bool more = listeners_[socket_].advance(left, piece);
    result.sent += piece.sent;
    result.failed += piece.failed;
    const std::size_t reached = std::size_t{piece.sent} + piece.failed;
    done_ += reached;
    left -= std::min(left, reached);
    if (more) break;  // a piece at a time
    start_table(socket_ + 1);
  }
  if (socket_ < listeners_.size()) {
    next_ = allowed(now) > 0 ? now : started_ + ((now - started_) / kTick + 1) * kTick;
    return Step::sent;
  }
  under_way_ = false;
  pin_ = {};
  return Step::finished;
}

}  // namespace tiercast::node
