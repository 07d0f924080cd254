#include "relay/control/elsewhere.hpp"

#include <utility>

#include "relay/base/inline_vector.hpp"
#include "relay/wire/limits.hpp"

namespace tiercast::control {
namespace {

static_assert(kElsewhereTold <= EdgeIndices::kMost);
// An ACCEPT that denies is shorter than any JOIN: of both the clear part, the records, and 48 bytes of Noise (NK).
constexpr std::size_t kDeniedRecord = 3 + 3 + 2 * EdgeIndices::kMost, kJoinRequestRecord = 3 + 5;
static_assert(wire::kAcceptClear + kDeniedRecord < wire::kJoinClear + kJoinRequestRecord);

/// Knuth's generator (MMIX), of which the upper bits are good.
std::uint64_t next(std::uint64_t& state) {
  state = state * 6364136223846793005U + 1442695040888963407U;
  return state >> 32;
}

}  // namespace

EdgeIndices some_of(std::span<const std::uint16_t> from, std::uint64_t seed) {
  EdgeIndices out;
  InlineVector<std::uint64_t, kElsewhereTold> taken;  // places in `from`, rising
  for (std::size_t left = from.size(); left > 0 && out.size() < kElsewhereTold; --left) {
    // The n-th of those that are left; each one taken that stands before it moves it on by one.
    std::uint64_t at = next(seed) % left;
    for (const std::uint64_t before : taken) at += before <= at ? 1 : 0;
    out.push_back(from[at]);
    taken.push_back(at);
    for (std::size_t i = taken.size() - 1; i > 0 && taken[i - 1] > taken[i]; --i) std::swap(taken[i - 1], taken[i]);
  }
  return out;
}

}  // namespace tiercast::control
