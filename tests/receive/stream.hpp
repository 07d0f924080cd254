// A source as tests need it: seals, signs, attests, and forges as one who holds the group's key.
#pragma once

#include <map>
#include <vector>

#include "crypto/frame.hpp"
#include "crypto/signature.hpp"
#include "relay/receive/playout.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::test {

using Datagram = std::vector<std::uint8_t>;

inline constexpr GroupId kGroup{7};
inline Time at(Duration d) { return Time{} + 1000s + d; }

class TestSource {
 public:
  explicit TestSource(SourceId id, GroupId group = kGroup, std::vector<std::uint8_t> secret = {})
      : id_(id), group_(group), secret_(std::move(secret)), signer_(seed(id)) {}

  receive::SourceKey key() const { return {id_, signer_.public_key()}; }
  wire::EpochRecord record(Epoch epoch) const {
    wire::EpochRecord r{group_, id_, epoch, {}};
    for (std::size_t i = 0; i < r.value.size(); ++i)
      r.value[i] = static_cast<std::uint8_t>(epoch.value + i + id_.value);
    r.signature = signer_.sign_epoch(r);
    return r;
  }
  /// Anybody with the group's key can do this: the seal says nothing of who made it.
  Datagram seal(Epoch epoch, Sequence sequence, Bytes opus, std::uint8_t flags = 0) const {
    const auto value = record(epoch).value;
    crypto::FrameSealer sealer{crypto::FrameKey::derive(secret_, value, group_, id_, epoch), group_, id_, epoch,
                               Sequence{sequence.value - 1}};
    Datagram out(wire::kMaxSealed);
    out.resize(sealer.seal(sequence, flags, opus, out).value());
    return out;
  }
  /// `frames` in order of sequence, holes allowed.
  Datagram attest(const std::vector<Datagram>& frames, std::uint8_t flags = 0) const {
    const auto first = wire::parse_header(frames.front()).value();
    const auto last = wire::parse_header(frames.back()).value();
    wire::Header header = first;
    header.type = wire::Type::attest;
    header.flags = flags;
    const std::size_t count = static_cast<std::size_t>(last.sequence.value - first.sequence.value) + 1;
    Datagram out(wire::kHeader + 1 + count * wire::kAttestHash, 0);
    wire::write_header(std::span{out}.first<wire::kHeader>(), header);
    out[wire::kHeader] = static_cast<std::uint8_t>(count);
    for (const Datagram& frame : frames) {
      const auto i = wire::parse_header(frame)->sequence.value - first.sequence.value;
      const auto hash = crypto::attest_hash(frame);
      std::copy(hash.begin(), hash.end(),
                out.begin() + static_cast<std::ptrdiff_t>(wire::kHeader + 1 + i * hash.size()));
    }
    const auto signature = signer_.sign_attest(out);
    out.insert(out.end(), signature.begin(), signature.end());
    return out;
  }

 private:
  static crypto::PrivateKey seed(SourceId id) {
    SeededRandom random{id.value + 100u};
    return crypto::generate_private_key(random);
  }
  SourceId id_;
  GroupId group_;
  std::vector<std::uint8_t> secret_;
  crypto::SourceSigner signer_;
};

/// A payload that tells its sequence and who made it.
inline Datagram payload(Sequence sequence, std::uint8_t mark = 0) {
  Datagram out(40, mark);
  store_be<8>(out.data(), sequence.value);
  return out;
}

/// What came out, as values.
struct Heard {
  Sequence sequence;
  receive::PlayedKind kind;
  Datagram opus;
  receive::Played played;
};

inline std::vector<Heard> drain(receive::Playout& playout) {
  std::vector<Heard> out;
  receive::Played p;
  while (playout.next(p)) out.push_back({p.sequence, p.kind, Datagram(p.opus.begin(), p.opus.end()), p});
  return out;
}

}  // namespace tiercast::test
