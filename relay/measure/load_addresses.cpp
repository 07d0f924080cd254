#include "relay/measure/load_addresses.hpp"

#include <algorithm>
#include <limits>

#include "relay/base/bytes.hpp"

namespace tiercast::measure {
namespace {
constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();
}

std::uint32_t LoadAddresses::size() const {
  const unsigned bits = host_bits();
  if (bits > 32) return static_cast<std::uint32_t>(kMost);
  const std::uint64_t all = std::uint64_t{1} << bits;
  if (bits == 0) return 1;
  return static_cast<std::uint32_t>(std::min(first_.is_v4() ? all - 2 : all - 1, kMost));
}

Endpoint LoadAddresses::at(std::uint32_t index) const {
  Endpoint out = first_;
  std::uint8_t* const low = out.ip.data() + 8;  // the prefix's host bits that are counted by lie in here
  store_be<8>(low, load_be<8>(low) + index + skipped());
  return out;
}

std::optional<std::uint32_t> LoadAddresses::index_of(const std::array<std::uint8_t, 16>& ip) const {
  if (!std::equal(ip.begin(), ip.begin() + 8, first_.ip.begin())) return std::nullopt;
  const std::uint64_t offset = load_be<8>(ip.data() + 8) - load_be<8>(first_.ip.data() + 8);  // wraps for what is below
  if (offset < skipped() || offset - skipped() >= size()) return std::nullopt;
  return static_cast<std::uint32_t>(offset - skipped());
}

std::string LoadAddresses::text() const {
  Endpoint bare = first_;
  bare.port = 0;
  std::string out = to_string(bare);
  out.resize(out.rfind(':'));
  if (out.front() == '[') out = out.substr(1, out.size() - 2);
  return out + "/" + std::to_string(prefix_);
}

}  // namespace tiercast::measure
