// The serving side of joining: HELLO -> RETRY, JOIN -> ACCEPT. Keeps no state for who has not proven its address and
// spent a handshake. Knows no socket; who is let in is the doorkeeper's decision.
#pragma once

#include <memory>
#include <optional>

#include "crypto/cookie.hpp"
#include "crypto/noise.hpp"
#include "relay/base/counter.hpp"
#include "relay/base/random.hpp"
#include "relay/wire/records.hpp"

namespace tiercast::control {

/// Who asks, after its handshake message was verified.
struct Joiner {
  Endpoint from;
  LocalAddress local;  // the address it joined at: answers and frames leave from it
  wire::JoinRequest request;
  Bytes ticket;                                // valid during the call only
  std::optional<crypto::PublicKey> relay_key;  // IK: its static key; NK: none
};

/// The node's decision and its place for the new lease. Called by JoinResponder, in this order, in one call of
/// on_datagram(): admit(), and if that granted, seat().
class Doorkeeper {
 public:
  virtual ~Doorkeeper() = default;
  /// Writes the ACCEPT's records into `records`: accepted (+ group info, epochs), or denied. The reserved lease, or
  /// nullopt when denied.
  virtual std::optional<LeaseId> admit(const Joiner& joiner, Writer& records, Time now) = 0;
  /// The reserved lease gets its keys. Must succeed.
  virtual void seat(LeaseId lease, const Joiner& joiner, const crypto::TransportKeys& keys, Time now) = 0;
  /// The reserved lease cannot be used after all (the ACCEPT could not be written).
  virtual void withdraw(LeaseId lease) = 0;
};

/// Every datagram is one of: hellos, joins, drop_malformed. Every JOIN is then one of: accepts, accepts_repeated,
/// denied, or a drop.
struct JoinCounters {
  Counter hellos, retries, joins, accepts, accepts_repeated, denied;
  Counter drop_malformed, drop_version, drop_cookie, drop_expired, drop_early, drop_puzzle, drop_spent, drop_full,
      drop_handshake, drop_request, drop_reply;
  template <class F>
  void each(F&& f) const {
    f("join_hello", hellos);
    f("join_retry", retries);
    f("join_join", joins);
    f("join_accept", accepts);
    f("join_accept_repeated", accepts_repeated);
    f("join_denied", denied);
    f("join_drop_malformed", drop_malformed);
    f("join_drop_version", drop_version);
    f("join_drop_cookie", drop_cookie);
    f("join_drop_expired", drop_expired);
    f("join_drop_early", drop_early);
    f("join_drop_puzzle", drop_puzzle);
    f("join_drop_spent", drop_spent);
    f("join_drop_full", drop_full);
    f("join_drop_handshake", drop_handshake);
    f("join_drop_request", drop_request);
    f("join_drop_reply", drop_reply);
  }
};

class JoinResponder {
 public:
  /// `key` and `random` outlive this object. `spent` bounds the cookies spent within kCookieLife, and with that joins a
  /// second (65,536: 6,500); `replies` × kMaxDatagram bytes are the ring of ACCEPTs (shorter ones are packed).
  JoinResponder(const crypto::PrivateKey& key, Random& random, Time start, std::size_t spent = 65536,
                std::size_t replies = 4096);
  ~JoinResponder();

  /// One datagram from the join socket. The answer, written to `reply` (≥ wire::kMaxDatagram); empty: no answer.
  /// The order of checks is the order of cost: form, version, the cookie's time, the cookie, puzzle, spent cookies,
  /// handshake. A HELLO always gets RETRY (which is smaller), also of a version that is not spoken here.
  Bytes on_datagram(Bytes datagram, const Endpoint& from, const LocalAddress& local, Time now, Doorkeeper& door,
                    MutableBytes reply);

  /// What RETRY asks from now on (0 in peace); difficulty at most kMaxDifficulty.
  void set_policy(std::uint16_t wait_100ms, std::uint8_t difficulty);
  const JoinCounters& counters() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tiercast::control
