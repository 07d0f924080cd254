// The joining side: HELLO, RETRY, JOIN, ACCEPT against one address, with resends. Relays join by IK, listeners by NK.
// Knows no socket: what is to be sent is taken from it, what came is given to it.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "crypto/noise.hpp"
#include "relay/base/random.hpp"
#include "relay/wire/records.hpp"

namespace tiercast::control {

enum class JoinState : std::uint8_t {
  hello_sent,  // no answer yet: wrong address, firewall, or nobody there
  waiting,     // RETRY said to wait, or its puzzle is being solved
  join_sent,   // RETRY came, no ACCEPT: wrong key on one side, or the node is overloaded
  accepted,
  denied,
  version,  // no version in common: see offered_versions()
  refused,  // the puzzle was harder than kMaxDifficulty
};

struct JoinGrant {
  wire::Accepted accepted;
  std::optional<wire::GroupInfo> group_info;
  std::vector<wire::EpochRecord> epochs;
  crypto::TransportKeys keys;
  Duration round_trip;  // of JOIN -> ACCEPT, when it was not resent; else of HELLO -> RETRY
};

/// The longest public part of a ticket that fits into JOIN.
inline constexpr std::size_t kMaxJoinTicket =
    wire::kMaxDatagram - wire::kJoinClear - crypto::noise_overhead(wire::Pattern::ik, 1) - (3 + 5) - 3;

class JoinInitiator {
 public:
  /// `own_key`: a relay's static key (IK); null: a listener (NK). `own_key` and `random` outlive the object. Sends
  /// HELLO at once: take it with take_datagram(). Throws std::length_error when the ticket is longer than
  /// kMaxJoinTicket.
  JoinInitiator(const crypto::PrivateKey* own_key, const crypto::PublicKey& responder, const wire::JoinRequest& request,
                Bytes ticket, Random& random, Time now);
  ~JoinInitiator();
  JoinInitiator(JoinInitiator&&) noexcept;
  JoinInitiator& operator=(JoinInitiator&&) noexcept;

  /// A datagram of type RETRY or ACCEPT from that address. Anything that does not fit is ignored: it may be forged.
  void on_datagram(Bytes datagram, Time now);
  /// Resends, or works on the puzzle for about a millisecond: then next_deadline() is `now` until it is solved.
  void on_timer(Time now);
  /// kNever in the last four states.
  Time next_deadline() const;
  /// The next datagram to send now, at most one after each event; empty: none. Valid until the next call.
  Bytes take_datagram();

  JoinState state() const;
  /// Once, in state accepted.
  JoinGrant take_grant();
  const wire::Denied& denial() const;
  std::pair<std::uint8_t, std::uint8_t> offered_versions() const;
  unsigned hellos_sent() const;
  unsigned joins_sent() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tiercast::control
