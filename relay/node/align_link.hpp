// What an origin learns of the group's other origin: it joins there as a relay would, takes its frames and statements,
// forwards nothing and asks for nothing again. Sans-IO.
#pragma once

#include <span>

#include "relay/control/parent.hpp"
#include "relay/forward/active_source.hpp"
#include "relay/forward/distrust.hpp"
#include "relay/node/origin.hpp"
#include "relay/receive/epoch_keys.hpp"

namespace tiercast::node {

struct AlignLinkCounters {
  Counter frames, statements, drop_unleased, drop_other, drop_link_mac, drop_signature, drop_distrusted, drop_no_key,
      drop_epoch;
  template <class F>
  void each(F&& f) const {
    f("align_frame", frames);
    f("align_statement", statements);
    f("align_drop_unleased", drop_unleased);
    f("align_drop_other", drop_other);  // no frame of the other source
    f("align_drop_link_mac", drop_link_mac);
    f("align_drop_signature", drop_signature);
    f("align_drop_distrusted", drop_distrusted);
    f("align_drop_no_key", drop_no_key);  // its epoch is not known yet
    f("align_drop_epoch", drop_epoch);
  }
};

class AlignLink {
 public:
  struct Setup {
    GroupId group;
    std::chrono::milliseconds frame{20};
    forward::Source other;                        // the other source
    crypto::PublicKey node_key{};                 // of the node that has it
    const crypto::PrivateKey* own_key = nullptr;  // this node's; outlives it
    Random* random = nullptr;                     // outlives it
  };
  AlignLink(const Setup& setup, Time now);

  void on_datagram(Bytes datagram, Origin& origin, Moment now);
  void on_unreachable(Time now) { parent_.on_unreachable(now); }
  /// The node that has the other source has joined here.
  void on_there(Time now) { parent_.on_there(now); }
  void on_timer(Time now) { parent_.on_timer(now); }
  Time next_deadline() const { return parent_.next_deadline(); }
  /// This node stops: the other origin is not to wait for it.
  void leave(Time now) { parent_.set_duty(control::Duty::cold, now); }
  /// To send now; until empty.
  Bytes take_datagram(MutableBytes out, Time now);

  const control::Parent& parent() const { return parent_; }
  const crypto::PublicKey& node_key() const { return setup_.node_key; }
  SourceId other() const { return setup_.other.id; }
  const AlignLinkCounters& counters() const { return counters_; }

 private:
  void on_stream(Bytes datagram, Origin& origin, Moment now);
  void on_records(Bytes records, Origin& origin, Moment now);
  void on_info(const wire::GroupInfo& info, Origin& origin, Moment now);
  void on_epoch(const wire::EpochRecord& epoch);

  const Setup setup_;
  control::Parent parent_;
  forward::Distrust distrust_;
  receive::EpochKeys keys_;
  bool stays_ = false;  // to be told
  AlignLinkCounters counters_;
};

}  // namespace tiercast::node
