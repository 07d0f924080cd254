#include "crypto/control.hpp"

#include "crypto/aead.hpp"
#include "crypto/blake2b.hpp"

namespace tiercast::crypto {
namespace {

std::array<std::uint8_t, 12> control_nonce(std::uint64_t counter) {
  std::array<std::uint8_t, 12> nonce{};
  store_be<8>(nonce.data() + 4, counter);
  return nonce;
}

}  // namespace

std::size_t seal_control(ControlKey key, Lane lane, LeaseId lease, std::uint64_t counter, Bytes records,
                         MutableBytes out) {
  const std::size_t length = wire::kMinControl + records.size();
  if (out.size() < length || length > wire::kMaxDatagram) return 0;
  const auto header = out.first<wire::kControlHeader>();
  wire::write_control_header(header, lane, lease, counter);
  return wire::kControlHeader +
         aead_seal(key, control_nonce(counter), header, records, out.subspan(wire::kControlHeader));
}

std::optional<std::size_t> open_control(ControlKey key, const wire::Control& control, MutableBytes records) {
  return aead_open(key, control_nonce(control.counter), control.header, control.sealed, records);
}

void derive_link_key(ControlKey key, std::span<std::uint8_t, 32> out) {
  Blake2b{out.size(), key}.add("tiercast link").finish(out);
}

}  // namespace tiercast::crypto
