// Who of a worker gets one group's frames: the send backend's table, and whose entry each is. Adding and removing are
// O(1): the last entry takes the place of the removed one. Knows no lease, only its owner's number.
#pragma once

#include <algorithm>
#include <cassert>
#include <memory>
#include <optional>
#include <vector>

#include "relay/forward/fan_out.hpp"

namespace tiercast::forward {

class Destinations {
 public:
  using Owner = std::uint32_t;

  explicit Destinations(std::unique_ptr<FanOut> fan_out) : fan_out_(std::move(fan_out)) {}

  /// The new entry's index.
  std::uint32_t add(Owner owner, const Endpoint& to, const LocalAddress& from) {
    const auto index = static_cast<std::uint32_t>(owners_.size());
    fan_out_->set(index, to, from);
    owners_.push_back(owner);
    return index;
  }
  /// Whose entry lies at `index` now, if another one moved there.
  std::optional<Owner> remove(std::uint32_t index) {
    assert(index < owners_.size());
    fan_out_->remove(index);
    owners_[index] = owners_.back();
    owners_.pop_back();
    return index < owners_.size() ? std::optional{owners_[index]} : std::nullopt;
  }
  /// The owner's address changed.
  void readdress(std::uint32_t index, const Endpoint& to, const LocalAddress& from) { fan_out_->set(index, to, from); }
  // See FanOut.
  void start(Bytes datagram) { fan_out_->start(datagram); }
  bool advance(std::size_t most, FanOutResult& result) {
    return fan_out_->advance(std::min(most, fan_out_->piece()), result);
  }
  std::size_t size() const { return owners_.size(); }

 private:
  std::unique_ptr<FanOut> fan_out_;
  std::vector<Owner> owners_;
};

}  // namespace tiercast::forward
