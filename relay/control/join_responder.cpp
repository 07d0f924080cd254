#include "relay/control/join_responder.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

#include "crypto/blake2b.hpp"
#include "relay/control/spent_cookies.hpp"

namespace tiercast::control {
namespace {

constexpr std::uint8_t kLowestVersion = wire::kVersion;
constexpr std::uint8_t kHighestVersion = wire::kVersion;
constexpr Duration kWaitUnit = 100ms;

/// A cookie key makes cookies for so long, and checks them for as long again: a cookie's whole life, the longest wait
/// included, fits into that, and `issued` alone tells which of the two keys made it.
constexpr Duration kCookieKeyLife = 2h;
static_assert(0xffff * kWaitUnit + wire::kCookieLife <= kCookieKeyLife);
constexpr std::uint64_t kCookieKeyUnits = kCookieKeyLife / wire::kTokenUnit;

constexpr std::size_t kMaxAcceptRecords =
    wire::kMaxDatagram - wire::kAcceptClear - crypto::noise_overhead(wire::Pattern::ik, 2);
static_assert(crypto::noise_overhead(wire::Pattern::ik, 2) == crypto::noise_overhead(wire::Pattern::nk, 2));

using Prologue = std::array<std::uint8_t, wire::kHello + wire::kRetry + wire::kJoinSolutionOffset>;

/// HELLO and RETRY as they must have been, told from the JOIN alone.
Prologue rebuild_prologue(const wire::Join& join, Bytes datagram) {
  Prologue prologue;
  const std::span<std::uint8_t, prologue.size()> all{prologue};
  wire::write_hello(all.first<wire::kHello>(), {.version = join.version, .nonce = join.challenge.nonce});
  wire::write_retry(all.subspan<wire::kHello, wire::kRetry>(),
                    {.lowest = kLowestVersion, .highest = kHighestVersion, .challenge = join.challenge});
  const Bytes clear = datagram.first(wire::kJoinSolutionOffset);
  std::copy(clear.begin(), clear.end(), prologue.begin() + wire::kHello + wire::kRetry);
  return prologue;
}

/// One join_request, at most one ticket. Other records are of a later version, or of no meaning here.
bool read_request(Bytes payload, Joiner& joiner) {
  bool requested = false, ticketed = false;
  wire::RecordReader records{payload};
  while (auto record = records.next()) {
    if (const auto* request = std::get_if<wire::JoinRequest>(&*record)) {
      if (std::exchange(requested, true)) return false;
      joiner.request = *request;
    } else if (const auto* ticket = std::get_if<wire::TicketRecord>(&*record)) {
      if (std::exchange(ticketed, true)) return false;
      joiner.ticket = ticket->ticket;
    }
  }
  // A relay is who has a key: without one there is nothing that [[downstream]] could name.
  const bool nameless = joiner.request.role == wire::Role::relay && !joiner.relay_key;
  return requested && !nameless && !records.error();
}

}  // namespace

struct JoinResponder::State {
  State(const crypto::PrivateKey& own, Random& source, Time began, std::size_t spent_cookies, std::size_t replies)
      : key(own),
        public_key(crypto::node_public_key(own)),
        random(source),
        start(began),
        spent(spent_cookies, replies * wire::kMaxDatagram, source) {
    for (auto& cookie_key : cookie_keys) random.fill(cookie_key.bytes());
  }

  std::uint64_t units(Time now) const {
    return now < start ? 0 : static_cast<std::uint64_t>((now - start) / wire::kTokenUnit);
  }

  void rotate(Time now) {
    const std::uint64_t wanted = units(now) / kCookieKeyUnits;
    for (int fresh = 0; generation < wanted && fresh < 2; ++fresh) {
      std::swap(cookie_keys[0], cookie_keys[1]);
      random.fill(cookie_keys[0].bytes());
      ++generation;
    }
    generation = std::max(generation, wanted);
  }

  /// The key that made a cookie of that time; null: it is gone.
  const crypto::MacKey* cookie_key(std::uint32_t issued) const {
    const std::uint64_t of = issued / kCookieKeyUnits;
    if (of == generation) return &cookie_keys[0];
    return of + 1 == generation ? &cookie_keys[1] : nullptr;
  }

  Bytes on_hello(const wire::Hello& hello, const Endpoint& from, Time now, MutableBytes reply) {
    counters.hellos.add();
    wire::Retry retry{.lowest = kLowestVersion, .highest = kHighestVersion, .challenge = {}};
    retry.challenge.nonce = hello.nonce;
    retry.challenge.issued = static_cast<std::uint32_t>(units(now));
    retry.challenge.wait = wait;
    retry.challenge.difficulty = difficulty;
    retry.challenge.cookie = crypto::make_cookie(cookie_keys[0], from, retry.challenge);
    wire::write_retry(reply.first<wire::kRetry>(), retry);
    counters.retries.add();
    return reply.first(wire::kRetry);
  }

  /// What needs no state: null when it passed, else what to count.
  Counter* check_stateless(const wire::Join& join, Bytes datagram, const Endpoint& from, Time now) {
    if (join.version < kLowestVersion || join.version > kHighestVersion) return &counters.drop_version;
    const wire::Challenge& c = join.challenge;
    if (c.issued > units(now)) return &counters.drop_cookie;
    const Time good_from = start + c.issued * wire::kTokenUnit + c.wait * kWaitUnit;
    if (now < good_from) return &counters.drop_early;
    if (now > good_from + wire::kCookieLife) return &counters.drop_expired;
    const crypto::MacKey* made_by = cookie_key(c.issued);
    if (made_by == nullptr || !crypto::verify_cookie(*made_by, from, c)) return &counters.drop_cookie;
    if (c.difficulty > 0 && !crypto::solves(datagram, c.difficulty)) return &counters.drop_puzzle;
    return nullptr;
  }

  Bytes on_join(const wire::Join& join, Bytes datagram, Joiner& joiner, Time now, Doorkeeper& door, MutableBytes reply);
  Bytes answer(crypto::NoiseHandshake& noise, const wire::Nonce& nonce, const Joiner& joiner, Time now,
               Doorkeeper& door, MutableBytes reply);

  static Bytes drop(Counter& why) {
    why.add();
    return {};
  }

  const crypto::PrivateKey& key;
  const crypto::PublicKey public_key;
  Random& random;
  const Time start;
  std::array<crypto::MacKey, 2> cookie_keys;  // this generation's, the last one's
  std::uint64_t generation = 0;
  std::uint16_t wait = 0;
  std::uint8_t difficulty = 0;
  SpentCookies spent;
  JoinCounters counters;
};

Bytes JoinResponder::State::on_join(const wire::Join& join, Bytes datagram, Joiner& joiner, Time now, Doorkeeper& door,
                                    MutableBytes reply) {
  counters.joins.add();
  if (Counter* why = check_stateless(join, datagram, joiner.from, now)) return drop(*why);

  const wire::Cookie& cookie = join.challenge.cookie;
  SpentCookies::JoinHash hash;
  if (const auto entry = spent.find(cookie); entry != SpentCookies::kNone) {
    crypto::Blake2b(hash.size()).add(datagram).finish(hash);
    const Bytes before = spent.reply(entry, hash, now);
    if (before.empty()) return drop(counters.drop_spent);
    counters.accepts_repeated.add();
    std::copy(before.begin(), before.end(), reply.begin());
    return reply.first(before.size());
  }
  if (spent.failed_too_often(cookie)) return drop(counters.drop_spent);
  if (!spent.has_room(now)) return drop(counters.drop_full);

  // A cookie is spent by a handshake message that verifies, not by junk: what somebody on the path throws in before the
  // joiner's own JOIN must not cost it its cookie, nor may junk fill the table. What junk costs is bounded otherwise:
  // kMaxFailures Diffie-Hellmans a cookie, and the puzzle prices every message, not every cookie.
  const Prologue prologue = rebuild_prologue(join, datagram);
  auto noise =
      crypto::NoiseHandshake::responder(join.pattern, prologue, key, public_key, crypto::generate_private_key(random));
  std::array<std::uint8_t, wire::kMaxDatagram> payload;
  const auto length = noise.read(join.noise, payload);
  if (!length) {
    spent.note_failure(cookie);
    return drop(counters.drop_handshake);
  }
  crypto::Blake2b(hash.size()).add(datagram).finish(hash);
  const auto entry = spent.spend(cookie, hash, now);

  if (join.pattern == wire::Pattern::ik) joiner.relay_key = noise.remote_static();
  if (!read_request(Bytes{payload}.first(*length), joiner)) return drop(counters.drop_request);
  const Bytes accept = answer(noise, join.challenge.nonce, joiner, now, door, reply);
  if (!accept.empty()) spent.keep_reply(entry, accept);
  return accept;
}

Bytes JoinResponder::State::answer(crypto::NoiseHandshake& noise, const wire::Nonce& nonce, const Joiner& joiner,
                                   Time now, Doorkeeper& door, MutableBytes reply) {
  std::array<std::uint8_t, kMaxAcceptRecords> buffer;
  Writer records{buffer};
  const std::optional<LeaseId> lease = door.admit(joiner, records, now);
  wire::write_accept_clear(reply.first<wire::kAcceptClear>(), nonce);
  std::optional<std::size_t> written;
  if (records.ok() && records.size() > 0) written = noise.write(records.written(), reply.subspan(wire::kAcceptClear));
  if (!written) {
    if (lease) door.withdraw(*lease);
    return drop(counters.drop_reply);
  }
  if (lease) {
    door.seat(*lease, joiner, noise.split(), now);
    counters.accepts.add();
  } else {
    counters.denied.add();
  }
  return reply.first(wire::kAcceptClear + *written);
}

JoinResponder::JoinResponder(const crypto::PrivateKey& key, Random& random, Time start, std::size_t spent,
                             std::size_t replies)
    : state_(std::make_unique<State>(key, random, start, spent, replies)) {}

JoinResponder::~JoinResponder() = default;

Bytes JoinResponder::on_datagram(Bytes datagram, const Endpoint& from, const LocalAddress& local, Time now,
                                 Doorkeeper& door, MutableBytes reply) {
  assert(reply.size() >= wire::kMaxDatagram);
  reply = reply.first(wire::kMaxDatagram);
  State& s = *state_;
  s.rotate(now);
  if (const auto hello = wire::parse_hello(datagram)) return s.on_hello(*hello, from, now, reply);
  if (const auto join = wire::parse_join(datagram)) {
    Joiner joiner{.from = from, .local = local, .request = {}, .ticket = {}, .relay_key = std::nullopt};
    return s.on_join(*join, datagram, joiner, now, door, reply);
  }
  return State::drop(s.counters.drop_malformed);
}

void JoinResponder::set_policy(std::uint16_t wait_100ms, std::uint8_t difficulty) {
  state_->wait = wait_100ms;
  state_->difficulty = std::min(difficulty, wire::kMaxDifficulty);
}

const JoinCounters& JoinResponder::counters() const { return state_->counters; }

}  // namespace tiercast::control
