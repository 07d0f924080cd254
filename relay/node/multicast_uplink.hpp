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
  /// A FRAME of a good signature. `newest`: of its group, known from anywhere.
  void on_frame(control::Parent& parent, const wire::Header& header, Sequence newest, Time now) {
    if (way.on_frame(header, newest, now))
      parent.on_multicast(control::Parent::Stream::frame, way.wanted() == wire::Delivery::multicast, now);
  }
  /// Anybody's word: it tells of the parent only while that answers, so it is asked now and then.
  void on_idle(control::Parent& parent, GroupId group, Time now) {
    way.on_idle(group, now);
    if (now >= next_question) {
      next_question = now + kQuestionEvery;
      parent.hasten(now);
    }
    if (!parent.lease()->unanswered_since()) parent.on_multicast(control::Parent::Stream::idle, false, now);
  }
  /// Before a keepalive may be sent.
  void follow(control::Parent& parent, UplinkOutlet& uplinks, std::size_t p, Time now) {
    if (way.take_hasten()) parent.hasten(now);
    if (way.take_rejoin()) uplinks.rejoin_multicast(p);
  }

  static constexpr Duration kQuestionEvery = 2s;
  control::DeliveryWay way;
  forward::Distrust distrust;  // of whoever sends there in the parent's name
  std::uint64_t acknowledged = 0;
  std::uint64_t datagrams = 0;
  Time next_question;
};

}  // namespace tiercast::node
