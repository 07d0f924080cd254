#include "relay/control/uplink_lease.hpp"

#include <algorithm>
#include <limits>

#include "crypto/control.hpp"

namespace tiercast::control {
namespace {

/// Events come in bursts (every group falls silent at once); one keepalive answers them all.
constexpr Duration kHastenEvery = 50ms;
/// Renewed so long before kHandshakeLife ends, for there may be no parent to join for a while.
constexpr Duration kHandshakeRenewal = 1h;

}  // namespace

UplinkLease::UplinkLease(const JoinGrant& grant, Random& random, Time now)
    : id_(grant.accepted.lease),
      lane_(grant.accepted.lane),
      keys_(std::make_unique<crypto::Secret<64>>()),
      link_key_(std::make_unique<crypto::Secret<32>>()),
      token_(grant.accepted.token),
      token_at_(now),
      joined_(now),
      next_keepalive_(now),
      last_heard_(now),
      // Who joined together does not keep alive together.
      phase_(now + Duration{static_cast<Duration::rep>(random.below(std::uint64_t{wire::kKeepalive.count()})) + 1}),
      round_trip_(grant.round_trip),
      path_(grant.accepted.path) {
  const auto sends = grant.keys.initiator_to_responder.view(), receives = grant.keys.responder_to_initiator.view();
  std::copy(sends.begin(), sends.end(), keys_->bytes().begin());
  std::copy(receives.begin(), receives.end(), keys_->bytes().begin() + crypto::kControlKeyBytes);
  crypto::derive_link_key(receives, link_key_->bytes());
  trips_.fill(round_trip_);
}

std::optional<Bytes> UplinkLease::on_control(Bytes datagram, MutableBytes records, Time now) {
  const auto drop = [](Counter& why) {
    why.add();
    return std::nullopt;
  };
  const auto control = wire::parse_control(datagram);
  if (!control) return drop(counters_.drop_malformed);
  if (control->lease != id_) return drop(counters_.drop_lease);
  if (!replay_.fresh(control->counter)) return drop(counters_.drop_replayed);
  const auto length = crypto::open_control(keys_->view().last<crypto::kControlKeyBytes>(), *control, records);
  if (!length) return drop(counters_.drop_forged);
  replay_.mark(control->counter);
  counters_.control_received.add();
  last_heard_ = now;

  const Bytes payload = records.first(*length);
  wire::RecordReader check{payload};
  while (check.next()) {
  }
  if (check.error()) return drop(counters_.drop_record);

  wire::RecordReader reader{payload};
  while (auto record = reader.next()) {
    if (const auto* acknowledgement = std::get_if<wire::Acknowledgement>(&*record)) {
      on_acknowledgement(*acknowledgement, control->counter, now);
    } else if (const auto* alone = std::get_if<wire::TokenOnly>(&*record)) {
      counters_.moved_tokens.add();
      take_token(alone->token, control->counter, now);
      hasten(now);
    }
  }
  return payload;
}

void UplinkLease::take_token(const wire::Token& token, std::uint64_t counter, Time now) {
  if (!token_order_.newest(counter)) return;
  token_order_.mark(counter);
  token_ = token;
  token_at_ = now;
}

void UplinkLease::on_acknowledgement(const wire::Acknowledgement& acknowledgement, std::uint64_t counter, Time now) {
  take_token(acknowledgement.token, counter, now);
  if (state_order_.newest(counter)) {
    state_order_.mark(counter);
    seeking_ = acknowledgement.seeking;
    path_ = acknowledgement.path;
  }
  Sent& sent = sent_[acknowledgement.number % sent_.size()];
  if (sent.number != acknowledgement.number || sent.number == 0) return;
  // A resent keepalive has a number of its own, so that every acknowledgement tells a round trip (Karn's rule holds by
  // itself). RFC 6298 §2.3, alpha = 1/8.
  round_trip_ += (now - sent.at - round_trip_) / 8;
  trips_[next_trip_++ % trips_.size()] = now - sent.at;
  sent.number = 0;
  if (!unanswered_since_) return;
  unanswered_since_.reset();
  counters_.keepalives_acknowledged.add();
  if (phase_ <= now) phase_ += ((now - phase_) / wire::kKeepalive + 1) * wire::kKeepalive;
  // What was asked since that keepalive left, it does not answer.
  next_keepalive_ = std::min(phase_, hastened_);
}

Bytes UplinkLease::seal(Bytes records, MutableBytes out) {
  const std::size_t length =
      crypto::seal_control(keys_->view().first<crypto::kControlKeyBytes>(), lane_, id_, send_counter_, records, out);
  if (length == 0) return {};
  ++send_counter_;
  return out.first(length);
}

Bytes UplinkLease::keepalive_if_due(const KeepaliveContents& contents, MutableBytes out, Time now) {
  if (!keepalive_due(now)) return {};
  if (++keepalive_number_ == 0) ++keepalive_number_;
  const auto round_trip = std::chrono::duration_cast<std::chrono::microseconds>(round_trip_).count();
  std::array<std::uint8_t, wire::kMaxDatagram> buffer;
  Writer records{buffer};
  wire::write_record(records, wire::Keepalive{
                                  .number = keepalive_number_,
                                  .token = token_,
                                  .loss = contents.loss,
                                  .round_trip_us = static_cast<std::uint32_t>(
                                      std::min<std::int64_t>(round_trip, std::numeric_limits<std::uint32_t>::max())),
                                  .delivery = contents.delivery,
                              });
  if (!contents.held.epochs.empty()) wire::write_record(records, contents.held);
  if (contents.resume.size() <= wire::kMaxDatagram - wire::kMinControl - records.size()) records.bytes(contents.resume);
  sent_[keepalive_number_ % sent_.size()] = {.number = keepalive_number_, .at = now};
  last_sent_ = now;
  if (!unanswered_since_) unanswered_since_ = now;
  next_keepalive_ = now + wire::kKeepaliveResend;
  hastened_ = kNever;
  counters_.keepalives_sent.add();
  return seal(records.written(), out);
}

void UplinkLease::hasten(Time now) {
  const Time soonest = last_sent_ ? std::max(now, *last_sent_ + kHastenEvery) : now;
  hastened_ = std::min(hastened_, soonest);
  next_keepalive_ = std::min(next_keepalive_, soonest);
}

bool UplinkLease::expired(Time now) const { return now - token_at_ > wire::kLeaseLife; }
bool UplinkLease::handshake_old(Time now) const { return now - joined_ >= wire::kHandshakeLife - kHandshakeRenewal; }

}  // namespace tiercast::control
