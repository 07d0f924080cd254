// What the feed tells a worker and a worker tells the feed: small values through single-producer rings.
#pragma once

#include <variant>
#include <vector>

#include "relay/control/lease_table.hpp"
#include "relay/forward/parity_shape.hpp"
#include "relay/node/load.hpp"
#include "relay/wire/records.hpp"

namespace tiercast::node {

/// A group's place in the node's tables, for as long as the node carries it; below wire::kMaxGroups.
using GroupIndex = Strong<struct GroupIndexTag, std::uint16_t>;
inline constexpr GroupIndex kNoGroup{0xffff};

// --- feed -> worker ---

struct WorkerGroup;
/// The node carries a group. What it points at is the feed's, and the worker's to use until it says GroupLetGo.
struct AddGroup {
  GroupIndex group;
  WorkerGroup* at = nullptr;
};
/// It carries it no more: tell the members, and let go of it. No other command names the group after this one.
struct RemoveGroup {
  GroupIndex group;
};
/// Whose lease this is may not have one any more.
struct EndLease {
  LeaseId id;
};

/// A frame stands in the group's history: send it. `at`, here and below: when it was told.
struct FrameReady {
  GroupIndex group;
  Sequence sequence;
  Time at;
  Time received;                  // when its datagram came to this node
  forward::ParityShape parity{};  // that this node makes for its listeners now
  bool stale = false;             // too late for any listener's usual playout: for relays' histories, and recordings
};
/// An attestation stands in the group's history.
struct AttestReady {
  GroupIndex group;
  std::uint64_t number = 0;
  Time at;
};
/// A datagram of a type that this version does not know stands in the group's history: pass it on. Or one for this
/// node's listeners alone: a PROOF or a PARITY.
struct OpaqueReady {
  GroupIndex group;
  std::uint64_t number = 0;
  Time at;
  bool to_listeners = false;
};
/// The node lives, its input does not: say so below.
struct SendIdle {
  GroupIndex group;
  wire::Header header;
  Time at;
};
/// A joiner was admitted: its secrets are in the arena, its slot is the worker's from here on.
struct Install {
  LeaseId id;
  Endpoint peer;
  LocalAddress local;
  wire::Role role = wire::Role::listener;
  wire::Delivery delivery = wire::Delivery::unicast;
  GroupIndex group = kNoGroup;
};
struct EpochKnown {
  GroupIndex group;
  wire::EpochRecord epoch;
};
struct EpochInUse {
  GroupIndex group;
  SourceId source;
  Epoch epoch;
};
struct GroupInfoKnown {
  GroupIndex group;
  wire::GroupInfo info;
};
/// Where this node stands in the tree.
struct Standing {
  bool seeking = false;
  InlineVector<NodeId, wire::kMaxPath> path;
};
/// Tell every lease to go elsewhere, in about half of `over` if they are many, until all have: they are served
/// meanwhile. `elsewhere` are the edges to choose from, the feed's, and unchanged from here on.
struct Drain {
  Duration over;
  const std::vector<std::uint16_t>* elsewhere = nullptr;
};
/// Say goodbye to every lease.
struct Stop {};

using Command = std::variant<std::monostate, FrameReady, AttestReady, OpaqueReady, SendIdle, Install, EpochKnown,
                             EpochInUse, GroupInfoKnown, Standing, AddGroup, RemoveGroup, EndLease, Drain, Stop>;

// --- worker -> feed ---

struct SlotFreed {
  control::LeaseSlot slot;
  bool stayed = false;  // it was told of by LeaseStays
};
/// Told to go elsewhere, the lease's holder said that it knows of no other place.
struct LeaseStays {};
/// Somebody below wants the group, or nobody does any more.
struct GroupWanted {
  GroupIndex group;
  bool wanted = false;
};
struct TallyChanged {
  GroupIndex group;
  std::uint32_t listeners = 0;
  std::uint32_t relays = 0;
};
/// A relay that has a lease here, once a second: what it says of itself.
struct ChildSeen {
  LeaseId lease;
  Endpoint peer;
  std::uint16_t loss = 0;  // of 65535
  std::uint32_t round_trip_us = 0;
  std::uint32_t listeners = 0, relays = 0;  // below it, itself included; relays 0: it is counted at another parent
  bool receives = false;                    // frames of some group
};
/// After RemoveGroup: nothing here points at it any more.
struct GroupLetGo {
  GroupIndex group;
};
struct Stopped {};

using Report = std::variant<std::monostate, SlotFreed, LeaseStays, GroupWanted, TallyChanged, ChildSeen, GroupLetGo,
                            WorkerLoad, Stopped>;

}  // namespace tiercast::node
