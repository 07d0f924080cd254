// What a child keeps of one parent's IP multicast: whether it works, and what comes of that.
#pragma once

#include "relay/control/delivery_way.hpp"
#include "relay/control/parent.hpp"
#include "relay/forward/distrust.hpp"
#include "relay/node/outlet.hpp"

namespace tiercast::node {

struct MulticastUplink {
  explicit MulticastUplink(Random& random) : way(random) {}

  /// The parent's CONTROL was taken in: whether it seeks is news with an acknowledgement only.
  void on_control(const control::Parent& parent, Time now) {
    if (!parent.leased()) return;
    const std::uint64_t count = parent.lease()->counters().keepalives_acknowledged.get();
    if (std::exchange(acknowledged, count) != count) way.on_seeking(parent.lease()->seeking(), now);
  }
  /// Before a keepalive may be sent.
  void follow(control::Parent& parent, UplinkOutlet& uplinks, std::size_t p, Time now) {
    if (way.take_hasten()) parent.hasten(now);
    if (way.take_rejoin()) uplinks.rejoin_multicast(p);
  }

  control::DeliveryWay way;
  forward::Distrust distrust;  // of whoever sends there in the parent's name
  std::uint64_t acknowledged = 0;
  std::uint64_t datagrams = 0;
};

}  // namespace tiercast::node
