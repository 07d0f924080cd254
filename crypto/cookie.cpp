#include "crypto/cookie.hpp"

#include <bit>

#include "crypto/blake2b.hpp"

namespace tiercast::crypto {
namespace {

// What each MAC covers. The lengths differ, so that a cookie is never a token even under one key.
constexpr std::size_t kCookieInput = 16 + 2 + wire::kNonce + 4 + 2 + 1;
constexpr std::size_t kTokenInput = 8 + 16 + 2 + 8;
static_assert(kCookieInput != kTokenInput);

constexpr std::size_t kTokenMac = wire::kToken - 2;
/// The 16 bits of issue time in a token come round after almost two hours: the age is plain until then.
constexpr std::uint64_t kTokenClock = std::uint64_t{1} << 16;

using TokenUnits = std::chrono::duration<std::int64_t, std::deci>;
static_assert(TokenUnits{1} == wire::kTokenUnit);

std::int64_t token_units(Time now) { return std::chrono::floor<TokenUnits>(now.time_since_epoch()).count(); }

wire::Token token_at(const MacKey& key, LeaseId lease, const Endpoint& to, std::int64_t issued) {
  std::array<std::uint8_t, kTokenInput> input{};
  Writer{input}.u64(lease.value).bytes(to.ip).u16(to.port).u64(static_cast<std::uint64_t>(issued));
  std::array<std::uint8_t, 16> mac{};
  Blake2b{mac.size(), key.view()}.add(input).finish(mac);
  wire::Token token{};
  Writer{token}.u16(static_cast<std::uint64_t>(issued)).bytes(Bytes{mac}.first(kTokenMac));
  return token;
}

}  // namespace

wire::Cookie make_cookie(const MacKey& key, const Endpoint& from, const wire::Challenge& challenge) {
  std::array<std::uint8_t, kCookieInput> input{};
  Writer{input}
      .bytes(from.ip)
      .u16(from.port)
      .bytes(challenge.nonce)
      .u32(challenge.issued)
      .u16(challenge.wait)
      .u8(challenge.difficulty);
  wire::Cookie cookie{};
  Blake2b{cookie.size(), key.view()}.add(input).finish(cookie);
  return cookie;
}

bool verify_cookie(const MacKey& key, const Endpoint& from, const wire::Challenge& challenge) {
  return equal(make_cookie(key, from, challenge), challenge.cookie);
}

bool solves(Bytes join, std::uint8_t difficulty) {
  std::array<std::uint8_t, 32> hash{};
  Blake2b{hash.size()}.add(join).finish(hash);
  unsigned zeros = 0;
  for (const std::uint8_t byte : hash) {
    zeros += static_cast<unsigned>(std::countl_zero(byte));
    if (byte != 0) break;
  }
  return zeros >= difficulty;
}

wire::Token make_token(const MacKey& key, LeaseId lease, const Endpoint& to, Time now) {
  return token_at(key, lease, to, token_units(now));
}

std::optional<Time> verify_token(const MacKey& key, LeaseId lease, const Endpoint& from, const wire::Token& token,
                                 Time now, Duration max_age) {
  const std::int64_t units = token_units(now);
  // The newest issue time, not after now, that ends in these 16 bits: a token of the future seems almost two hours old.
  const std::uint64_t age = (static_cast<std::uint64_t>(units) - load_be<2>(token.data())) % kTokenClock;
  const std::int64_t issued = units - static_cast<std::int64_t>(age);
  const Time issue_time{TokenUnits{issued}};
  if (!equal(token_at(key, lease, from, issued), token) || now - issue_time > max_age) return std::nullopt;
  return issue_time;
}

}  // namespace tiercast::crypto
