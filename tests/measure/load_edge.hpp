// An edge for a crowd of listeners, in virtual time: the node's own door and lease table, a real source's frames, and
// whatever a test does to what goes between the two.
#pragma once

#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "relay/measure/load_crowd.hpp"
#include "tests/control/lease_fixture.hpp"

namespace tiercast::test {

inline constexpr GroupId kLoadGroup{5};
inline constexpr auto kLoadFrame = 20ms;

class LoadEdge final : private control::Doorkeeper, public measure::LoadCrowd::Outlet {
 public:
  explicit LoadEdge(Time start)
      : now(start),
        key_(crypto::generate_private_key(random_)),
        responder_(key_, random_, start, 4096, 512),
        secrets_(kSlots),
        table_(kSlots, kBootTag, secrets_, LeaseFixture::token_key()),
        signer_(crypto::generate_private_key(random_)) {
    rotate();
    for (std::uint32_t i = kSlots; i-- > 0;) free_.push_back(i);
  }

  measure::LoadPlan plan(std::uint32_t listeners) {
    measure::LoadPlan out;
    out.edge = crypto::node_public_key(key_);
    out.group = kLoadGroup;
    out.sources = {{SourceId{1}, signer_.public_key()}};
    out.listeners = listeners;
    out.ramp = 2000;
    out.sample = listeners;
    return out;
  }
  measure::LoadCrowd& crowd(const measure::LoadPlan& plan, bool counted_below = false) {
    accounts.assign(plan.listeners, {});
    return crowd_.emplace(plan, accounts, counted_below, random_, *this, now);
  }

  /// Until then, in steps of a millisecond: frames when due, what is on its way either way, timers.
  void run(Duration length) {
    for (const Time end = now + length; now < end; now += 1ms) {
      while (auto lease = table_.expire_one(now)) forget(*lease);
      if (speaks && now >= next_frame_) speak();
      deliver();
      if (now >= crowd_->next_deadline()) crowd_->on_timer(now);
    }
  }
  measure::LoadReport report() {
    measure::LoadReport out;
    crowd_->report(out, now);
    return out;
  }
  /// The next epoch of the source; told by acknowledgements, and by ACCEPT.
  void rotate() {
    wire::EpochRecord record{kLoadGroup, SourceId{1}, Epoch{++epoch_}, {}, {}};
    random_.fill(record.value);
    record.signature = signer_.sign_epoch(record);
    epochs_.push_back(record);
    sealer_.emplace(crypto::FrameKey::derive({}, record.value, kLoadGroup, SourceId{1}, record.epoch), kLoadGroup,
                    SourceId{1}, record.epoch, sequence_);
  }
  std::size_t leases() const { return owners_.size(); }
  void forget_all() {
    for (const auto& [slot, owner] : std::exchange(owners_, {})) {
      table_.release(control::LeaseSlot{slot});
      free_.push_back(slot);
    }
  }

  Time now;
  std::vector<load_account> accounts;
  bool speaks = true, answers = true, acknowledges = true;
  std::optional<wire::DenyReason> deny;
  std::optional<wire::EpochRecord> also_told;  // by every acknowledgement
  /// Whether a frame goes to a listener; may change it.
  std::function<bool(std::uint32_t listener, Sequence, Datagram&)> on_frame;
  std::uint64_t keepalives = 0;

 private:
  static constexpr std::uint32_t kSlots = 512;

  static Endpoint endpoint(std::uint32_t listener) {
    Endpoint out = address(0, 4900);
    store_be<2>(out.ip.data() + 14, listener);
    return out;
  }
  void send(std::uint32_t listener, Bytes datagram) override { up_.emplace_back(listener, copy(datagram)); }
  void down(std::uint32_t listener, Bytes datagram) { down_.emplace_back(listener, copy(datagram)); }
  WallTime wall() const {
    return WallTime{1'700'000'000s + std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch())};
  }

  void deliver() {
    for (auto& [listener, datagram] : std::exchange(up_, {})) {
      if (!answers) continue;
      if (wire::Type{wire::type_of(datagram)} == wire::Type::control) {
        on_control(listener, datagram);
      } else if (const Bytes reply = responder_.on_datagram(datagram, endpoint(listener), {}, now, *this, out_);
                 !reply.empty()) {
        down(listener, reply);
      }
    }
    for (auto& [listener, datagram] : std::exchange(down_, {})) crowd_->on_datagram(listener, datagram, now, wall());
  }

  void on_control(std::uint32_t listener, const Datagram& datagram) {
    const auto result = table_.on_control(datagram, endpoint(listener), {}, records_, out_, now);
    if (result.slot == control::kNoSlot) return;
    wire::EpochsHeld held;
    wire::RecordReader reader{result.records};
    bool leaves = false;
    while (const auto record = reader.next()) {
      if (const auto* h = std::get_if<wire::EpochsHeld>(&*record)) held = *h;
      leaves = leaves || std::holds_alternative<wire::Leave>(*record);
    }
    if (leaves) {
      table_.release(result.slot);
      owners_.erase(result.slot.value);
      free_.push_back(result.slot.value);
    } else if (result.keepalive && acknowledges) {
      ++keepalives;
      std::array<std::uint8_t, wire::kMaxDatagram> buffer;
      Writer records{buffer};
      table_.write_acknowledgement(records, result.slot, *result.keepalive, false, {}, now);
      wire::write_record(records, info());
      for (const wire::EpochRecord& epoch : epochs_) {
        const auto same = [&](const wire::HeldEpoch& h) { return h.epoch == epoch.epoch; };
        if (std::none_of(held.epochs.begin(), held.epochs.end(), same)) wire::write_record(records, epoch);
      }
      if (also_told) wire::write_record(records, *also_told);
      down(listener, table_.seal(result.slot, records.written(), out_));
    }
  }

  wire::GroupInfo info() const {
    wire::GroupInfo out;
    out.group = kLoadGroup;
    out.source = SourceId{1};
    out.frame_ms = 20;
    out.newest = sequence_;
    if (sequence_.value > kFirst) out.flags = wire::kInfoAnchored | wire::kInfoStamped;
    out.stamped = sequence_;
    out.stamped_unix_us = static_cast<std::uint64_t>(stamped_.time_since_epoch().count());
    return out;
  }

  void speak() {
    next_frame_ = now + kLoadFrame;
    sequence_ = sequence_.next();
    stamped_ = wall();
    Datagram frame(wire::kMaxSealed);
    const std::array<std::uint8_t, 40> opus{};
    frame.resize(sealer_->seal(sequence_, 0, opus, frame).value_or(0));
    fan_out(frame);
    hashes_.push_back(crypto::attest_hash(frame));
    if (hashes_.size() == 25) attest();
  }
  void fan_out(const Datagram& datagram) {
    for (const auto& [slot, listener] : owners_) {
      Datagram own = datagram;
      if (wire::type_of(own) == 0x20 && on_frame && !on_frame(listener, sequence_, own)) continue;
      down(listener, own);
    }
  }
  void attest() {
    Datagram out(wire::kHeader);
    wire::write_header(std::span{out}.first<wire::kHeader>(),
                       {wire::Type::attest, 0, SourceId{1}, kLoadGroup, Epoch{epoch_}, Sequence{sequence_.value - 24}});
    out.push_back(25);
    for (const auto& hash : std::exchange(hashes_, {})) out.insert(out.end(), hash.begin(), hash.end());
    const auto signature = signer_.sign_attest(out);
    out.insert(out.end(), signature.begin(), signature.end());
    fan_out(out);
  }

  std::optional<LeaseId> admit(const control::Joiner& joiner, Writer& records, Time) override {
    if (deny || free_.empty()) {
      wire::write_record(records, wire::Denied{deny.value_or(wire::DenyReason::full), 0, {}});
      return std::nullopt;
    }
    const control::LeaseSlot slot{free_.back()};
    free_.pop_back();
    const LeaseId id = control::make_lease_id(kBootTag, slot, static_cast<std::uint32_t>(random_.u64()));
    const wire::Token token = crypto::make_token(LeaseFixture::token_key(), id, joiner.from, now);
    wire::write_record(records, wire::Accepted{.lane = Lane{0}, .lease = id, .token = token, .path = {}});
    wire::write_record(records, info());
    for (const wire::EpochRecord& epoch : epochs_) wire::write_record(records, epoch);
    return id;
  }
  void seat(LeaseId id, const control::Joiner& joiner, const crypto::TransportKeys& keys, Time at) override {
    const control::LeaseSlot slot = control::slot_of(id);
    secrets_.store(slot, keys);
    table_.install(id, joiner.from, {}, wire::Role::listener, wire::Delivery::unicast, at);
    owners_[slot.value] = static_cast<std::uint32_t>(load_be<2>(joiner.from.ip.data() + 14));
  }
  void withdraw(LeaseId id) override { free_.push_back(control::slot_of(id).value); }
  void forget(const control::Lease& lease) {
    const auto slot = control::slot_of(lease.id).value;
    owners_.erase(slot);
    free_.push_back(slot);
  }

  static constexpr std::uint64_t kFirst = 1'000'000;
  SeededRandom random_{17};
  crypto::PrivateKey key_;
  control::JoinResponder responder_;
  control::LeaseSecrets secrets_;
  control::LeaseTable table_;
  crypto::SourceSigner signer_;
  std::optional<crypto::FrameSealer> sealer_;
  std::vector<wire::EpochRecord> epochs_;
  std::uint32_t epoch_ = 100;
  Sequence sequence_{kFirst};
  WallTime stamped_{};
  Time next_frame_{};
  std::vector<crypto::AttestHash> hashes_;
  std::vector<std::uint32_t> free_;
  std::map<std::uint32_t, std::uint32_t> owners_;  // slot -> listener
  std::vector<std::pair<std::uint32_t, Datagram>> up_, down_;
  std::optional<measure::LoadCrowd> crowd_;
  std::array<std::uint8_t, wire::kMaxDatagram> records_{}, out_{};
};

}  // namespace tiercast::test
