#include "crypto/frame.hpp"

#include <utility>

#include "crypto/aead.hpp"
#include "crypto/blake2b.hpp"

namespace tiercast::crypto {
namespace {

constexpr std::uint64_t kLastSequence = (std::uint64_t{1} << 48) - 1;

AeadKey key_of(const Secret<44>& both) { return both.view().first<32>(); }

/// IV xor sequence. The IV is secret too, but its xor is needed for one call only.
void frame_nonce(const Secret<44>& both, Sequence sequence, std::span<std::uint8_t, 12> out) {
  const auto iv = both.view().last<12>();
  std::array<std::uint8_t, 12> number{};
  store_be<6>(number.data() + 6, sequence.value);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = iv[i] ^ number[i];
}

}  // namespace

FrameKey FrameKey::derive(Bytes group_secret, const wire::EpochValue& value, GroupId group, SourceId source,
                          Epoch epoch) {
  static constexpr std::array<std::uint8_t, 32> kNoSecret{};
  std::array<std::uint8_t, 8> which{};
  Writer{which}.u24(group.value).u8(source.value).u32(epoch.value);
  FrameKey key;
  Blake2b{44, group_secret.empty() ? Bytes{kNoSecret} : group_secret}.add(value).add(which).finish(
      key.key_and_iv_.bytes());
  return key;
}

std::optional<std::size_t> FrameKey::open(Bytes datagram, MutableBytes opus) const {
  if (datagram.size() > wire::kMaxSealed) return std::nullopt;
  const auto header = wire::parse_header(datagram);
  if (!header || header->type != wire::Type::frame) return std::nullopt;
  Scratch<12> nonce;
  frame_nonce(key_and_iv_, header->sequence, nonce.bytes());
  return aead_open(key_of(key_and_iv_), nonce.view(), datagram.first(wire::kHeader), datagram.subspan(wire::kHeader),
                   opus);
}

FrameSealer::FrameSealer(FrameKey key, GroupId group, SourceId source, Epoch epoch, Sequence above)
    : key_(std::move(key)), group_(group), source_(source), epoch_(epoch), last_(above) {}

FrameSealer::FrameSealer(FrameSealer&& other) noexcept
    : key_(std::move(other.key_)),
      group_(other.group_),
      source_(other.source_),
      epoch_(other.epoch_),
      last_(std::exchange(other.last_, Sequence{kLastSequence})),
      sealed_(other.sealed_) {}

FrameSealer& FrameSealer::operator=(FrameSealer&& other) noexcept {
  if (this != &other) {
    key_ = std::move(other.key_);
    group_ = other.group_;
    source_ = other.source_;
    epoch_ = other.epoch_;
    last_ = std::exchange(other.last_, Sequence{kLastSequence});  // nothing is above it: it has no key any more
    sealed_ = other.sealed_;
  }
  return *this;
}

std::optional<std::size_t> FrameSealer::seal(Sequence sequence, std::uint8_t flags, Bytes opus, MutableBytes out) {
  if (sequence <= last_ || sequence.value > kLastSequence || opus.size() > wire::kMaxOpus ||
      out.size() < wire::kHeader + opus.size() + wire::kTag)
    return std::nullopt;
  const auto header = out.first<wire::kHeader>();
  wire::write_header(header, {wire::Type::frame, flags, source_, group_, epoch_, sequence});
  Scratch<12> nonce;
  frame_nonce(key_.key_and_iv_, sequence, nonce.bytes());
  last_ = sequence;
  ++sealed_;
  return wire::kHeader + aead_seal(key_of(key_.key_and_iv_), nonce.view(), header, opus, out.subspan(wire::kHeader));
}

}  // namespace tiercast::crypto
