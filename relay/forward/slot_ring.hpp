// The one place where a datagram lies: a ring of fixed slots, one key a slot, written by one thread (the feed), read by
// many (the workers) without a lock. A reader pins a slot while it uses it; the writer never waits for a pin: what
// would overwrite a pinned slot is refused, and counted by the caller.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <utility>

#include "relay/wire/limits.hpp"

namespace tiercast::forward {

class SlotRing {
  struct Slot;

 public:
  /// A sealed FRAME and its source's signature behind it; also holds an ATTEST.
  static constexpr std::size_t kSlotBytes = wire::kMaxDatagram - wire::kLinkMac;
  static_assert(kSlotBytes >= wire::kMaxSealed + wire::kSignature);
  static_assert(kSlotBytes >= wire::kMaxAttest);

 private:
  // state: key 48 bits ‖ ready 1 bit ‖ pins 15 bits. One word, so that "is it still this key" and "I hold it" are one
  // step, as are "nobody holds it" and "it is mine to overwrite".
  static constexpr unsigned kReadyShift = 15;
  static constexpr unsigned kKeyShift = 16;
  static constexpr std::uint64_t kReady = std::uint64_t{1} << kReadyShift;
  static constexpr std::uint64_t kPins = kReady - 1;
  struct alignas(64) Slot {
    std::atomic<std::uint64_t> state{0};
    std::uint16_t length = 0;
    std::uint16_t signature_length = 0;
    std::uint8_t bytes[kSlotBytes];
  };

 public:
  /// What a reader holds: the slot stays as it is until this goes.
  class Pin {
   public:
    Pin() = default;
    Pin(Pin&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}
    Pin& operator=(Pin&& other) noexcept {
      if (this != &other) {
        release();
        slot_ = std::exchange(other.slot_, nullptr);
      }
      return *this;
    }
    ~Pin() { release(); }
    explicit operator bool() const { return slot_ != nullptr; }
    /// The datagram as every hop has it: header, ciphertext, tag (or an ATTEST), without trailers.
    Bytes datagram() const { return Bytes{slot_->bytes}.first(slot_->length); }
    /// The source's signature, directly behind the datagram; empty for an ATTEST.
    Bytes signature() const { return Bytes{slot_->bytes}.subspan(slot_->length, slot_->signature_length); }
    /// Both, contiguous.
    Bytes with_signature() const {
      return Bytes{slot_->bytes}.first(std::size_t{slot_->length} + slot_->signature_length);
    }

   private:
    friend class SlotRing;
    explicit Pin(Slot* slot) : slot_(slot) {}
    void release() {
      if (slot_) slot_->state.fetch_sub(1, std::memory_order_release);
      slot_ = nullptr;
    }
    Slot* slot_ = nullptr;
  };

  explicit SlotRing(std::size_t slots) : count_(slots), slots_(std::make_unique<Slot[]>(slots)) {}

  // --- the writer's ---

  /// Takes the slot of `key` for writing (kSlotBytes); what it held is gone. nullopt: a reader still holds it.
  /// key is in [1, 2^48).
  std::optional<MutableBytes> claim(std::uint64_t key) {
    Slot& slot = slots_[key % count_];
    std::uint64_t old = slot.state.load(std::memory_order_relaxed);
    if ((old & kPins) != 0) return std::nullopt;
    // acquire: what readers read of the old contents happened before it is overwritten
    if (!slot.state.compare_exchange_strong(old, key << kKeyShift, std::memory_order_acq_rel)) return std::nullopt;
    return MutableBytes{slot.bytes};
  }
  /// Makes a claimed slot readable.
  void publish(std::uint64_t key, std::size_t length, std::size_t signature_length) {
    Slot& slot = slots_[key % count_];
    slot.length = static_cast<std::uint16_t>(length);
    slot.signature_length = static_cast<std::uint16_t>(signature_length);
    slot.state.store(key << kKeyShift | kReady, std::memory_order_release);
  }

  // --- anybody's ---

  /// The slot of `key`, pinned, if it is there.
  Pin pin(std::uint64_t key) const {
    Slot& slot = slots_[key % count_];
    std::uint64_t state = slot.state.load(std::memory_order_relaxed);
    while (state >> kReadyShift == (key << 1 | 1)) {
      if (slot.state.compare_exchange_weak(state, state + 1, std::memory_order_acquire, std::memory_order_relaxed))
        return Pin{&slot};
    }
    return {};
  }
  bool has(std::uint64_t key) const {
    return slots_[key % count_].state.load(std::memory_order_relaxed) >> kReadyShift == (key << 1 | 1);
  }
  std::size_t size() const { return count_; }
  std::size_t bytes_reserved() const { return count_ * sizeof(Slot); }

 private:
  std::size_t count_;
  std::unique_ptr<Slot[]> slots_;
};

}  // namespace tiercast::forward
