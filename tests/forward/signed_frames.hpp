// What a parent sends over a relay link, made with real keys: the other end of intake's tests. The ciphertext is
// random: no relay on the path of a ticket-keyed group could tell.
#pragma once

#include <array>
#include <vector>

#include "crypto/signature.hpp"
#include "relay/forward/intake.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::test {

using Datagram = std::vector<std::uint8_t>;

inline Bytes view(const Datagram& d) { return {d.data(), d.size()}; }

inline void append(Datagram& to, Bytes from) { to.insert(to.end(), from.begin(), from.end()); }

inline Datagram header_bytes(const wire::Header& header) {
  Datagram out(wire::kHeader);
  wire::write_header(std::span{out}.first<wire::kHeader>(), header);
  return out;
}

/// One source of group 7.
class SigningSource {
 public:
  SigningSource(std::uint8_t id, std::uint64_t seed)
      : id_(id), random_(seed), signer_(crypto::generate_private_key(random_)) {}

  forward::Source as_source() const { return {id_, signer_.public_key()}; }

  wire::Header header(wire::Type type, std::uint64_t sequence, std::uint8_t flags = 0) const {
    return {type, flags, id_, GroupId{7}, Epoch{100}, Sequence{sequence}};
  }
  /// FRAME without trailers.
  Datagram frame(std::uint64_t sequence, std::uint8_t flags = 0, std::size_t opus = 60) {
    Datagram out = header_bytes(header(wire::Type::frame, sequence, flags));
    out.resize(wire::kHeader + opus + wire::kTag);
    random_.fill(std::span{out}.subspan(wire::kHeader));
    return out;
  }
  /// FRAME with its signature.
  Datagram signed_frame(std::uint64_t sequence, std::uint8_t flags = 0, std::size_t opus = 60) {
    return sign(frame(sequence, flags, opus));
  }
  Datagram sign(Datagram frame) const {
    const auto signature = signer_.sign_frame(view(frame));
    append(frame, signature);
    return frame;
  }
  /// ATTEST over made-up hashes.
  Datagram attest(std::uint64_t first, std::uint8_t count) {
    Datagram out = header_bytes(header(wire::Type::attest, first));
    out.push_back(count);
    Datagram hashes(count * wire::kAttestHash);
    random_.fill(hashes);
    append(out, view(hashes));
    const auto signature = signer_.sign_attest(view(out));
    append(out, signature);
    return out;
  }

 private:
  SourceId id_;
  SeededRandom random_;
  crypto::SourceSigner signer_;
};

/// A relay link's key, and what a parent adds with it.
struct Link {
  std::array<std::uint8_t, 32> key{};
  explicit Link(std::uint8_t fill) { key.fill(fill); }
  Datagram mac(Datagram all_before) const {
    const auto mac = crypto::link_mac(key, view(all_before));
    append(all_before, mac);
    return all_before;
  }
};

}  // namespace tiercast::test
