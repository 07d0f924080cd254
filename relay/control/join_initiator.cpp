#include "relay/control/join_initiator.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "crypto/cookie.hpp"

namespace tiercast::control {
namespace {

/// A JOIN unanswered so often (6 s) starts anew from HELLO: its cookie may be spent, or of a node that has restarted.
constexpr unsigned kJoinsPerCookie = 5;
/// Who is told to wait asks again after so long, then ever more seldom, and takes the shorter wait: nothing vouches for
/// a RETRY.
constexpr Duration kAskAgain = wire::kHandshakeMaxResend;
/// A cookie is not relied on for its last second: `issued` is rounded down, and JOIN takes its time.
constexpr Duration kCookieMargin = 1s;
/// Hashes of one turn: about a millisecond, since frames may wait behind it.
constexpr unsigned kHashesPerTurn = 4096;

}  // namespace

struct JoinInitiator::State {
  State(const crypto::PrivateKey* own, const crypto::PublicKey& theirs, const wire::JoinRequest& wanted,
        Bytes ticket_bytes, Random& source)
      : own_key(own),
        responder(theirs),
        request(wanted),
        ticket(ticket_bytes.begin(), ticket_bytes.end()),
        random(&source) {
    if (ticket.size() > kMaxJoinTicket) throw std::length_error("the ticket does not fit into JOIN");
  }

  wire::Pattern pattern() const { return own_key != nullptr ? wire::Pattern::ik : wire::Pattern::nk; }
  bool done() const { return state > JoinState::join_sent; }

  void start(Time now);
  void send(Bytes datagram, Time now);
  void finish(JoinState last) {
    state = last;
    deadline = kNever;
    noise.reset();
    ephemeral.reset();
  }

  void on_retry(const wire::Retry& retry, Bytes datagram, Time now);
  void on_accept(const wire::Accept& accept, Time now);
  bool take_answer(Bytes payload, Time now);
  std::optional<std::size_t> write_noise(MutableBytes out);
  void build_join(Time now);
  void solve(Time now);
  void send_join(Time now);

  const crypto::PrivateKey* own_key;
  crypto::PublicKey responder;
  wire::JoinRequest request;
  std::vector<std::uint8_t> ticket;
  Random* random;

  JoinState state = JoinState::hello_sent;
  Time deadline;
  Duration resend_after{};
  Bytes outgoing;

  std::array<std::uint8_t, wire::kHello> hello{};
  std::array<std::uint8_t, wire::kRetry> retry{};
  wire::Challenge challenge;
  std::array<std::uint8_t, wire::kMaxDatagram> join{};
  std::size_t join_length = 0;
  std::uint64_t solution = 0;
  bool solved = false;
  Time wait_until, cookie_until, ask_again = kNever;
  Duration ask_after{};  // above kAskAgain once it was asked again

  std::optional<crypto::PrivateKey> ephemeral;
  std::optional<crypto::NoiseHandshake> noise;  // none: a forged ACCEPT has spoilt it, see on_accept()

  Time first_hello, first_join;
  unsigned joins_for_cookie = 0, hellos = 0, joins = 0;
  Duration hello_round_trip{};
  std::pair<std::uint8_t, std::uint8_t> offered{0, 0};
  JoinGrant grant;
  wire::Denied denial;
  std::vector<std::uint8_t> denial_where_else;
};

void JoinInitiator::State::start(Time now) {
  state = JoinState::hello_sent;
  noise.reset();
  ephemeral.reset();
  wire::Hello clear;
  random->fill(clear.nonce);
  wire::write_hello(hello, clear);
  challenge = {};
  challenge.nonce = clear.nonce;
  first_hello = now;
  ++hellos;
  resend_after = wire::kHandshakeFirstResend;
  send(hello, now);
}

void JoinInitiator::State::send(Bytes datagram, Time now) {
  outgoing = datagram;
  deadline = now + random->jitter(resend_after, wire::kHandshakeJitter);
  resend_after = std::min(2 * resend_after, wire::kHandshakeMaxResend);
}

void JoinInitiator::State::on_retry(const wire::Retry& said, Bytes datagram, Time now) {
  // A second one (of a resent HELLO) would only change what is under way, but for an answer that spares a wait.
  const Time until = now + said.challenge.wait * Duration{100ms};
  if (said.challenge.nonce != challenge.nonce || state > JoinState::waiting ||
      (state == JoinState::waiting &&
       (ask_after == kAskAgain || until >= wait_until || said.challenge.difficulty > challenge.difficulty)))
    return;
  offered = {said.lowest, said.highest};
  if (wire::kVersion < said.lowest || wire::kVersion > said.highest) return finish(JoinState::version);
  if (said.challenge.difficulty > wire::kMaxDifficulty) return finish(JoinState::refused);
  std::copy(datagram.begin(), datagram.end(), retry.begin());
  challenge = said.challenge;
  // From the first HELLO: of two, nobody can tell which was answered, and too long does less harm than too short.
  hello_round_trip = now - first_hello;
  if (state == JoinState::hello_sent) {
    ask_after = kAskAgain;
    ask_again = challenge.wait == 0 ? kNever : now + ask_after;
  }
  wait_until = until;
  cookie_until = wait_until + wire::kCookieLife - kCookieMargin;
  joins_for_cookie = 0;
  build_join(now);
}

/// Message 1 of a handshake with the kept ephemeral: the same bytes each time.
std::optional<std::size_t> JoinInitiator::State::write_noise(MutableBytes out) {
  std::array<std::uint8_t, wire::kHello + wire::kRetry + wire::kJoinSolutionOffset> prologue;
  auto at = std::copy(hello.begin(), hello.end(), prologue.begin());
  at = std::copy(retry.begin(), retry.end(), at);
  std::copy_n(join.begin(), wire::kJoinSolutionOffset, at);

  std::array<std::uint8_t, wire::kMaxDatagram> buffer;
  Writer payload{buffer};
  wire::write_record(payload, request);
  if (!ticket.empty()) wire::write_record(payload, wire::TicketRecord{ticket});
  noise.emplace(crypto::NoiseHandshake::initiator(pattern(), prologue, own_key, responder,
                                                  crypto::PrivateKey{ephemeral->view()}));
  return noise->write(payload.written(), out);
}

void JoinInitiator::State::build_join(Time now) {
  wire::Join clear;
  clear.pattern = pattern();
  clear.challenge = challenge;
  wire::write_join_clear(std::span{join}.first<wire::kJoinClear>(), clear);
  ephemeral.emplace(crypto::generate_private_key(*random));
  const auto length = write_noise(std::span{join}.subspan(wire::kJoinClear));
  if (!length) {  // the responder's key is of low order: nobody has it, so it is as if nobody were there
    deadline = now + random->jitter(wire::kHandshakeMaxResend, wire::kHandshakeJitter);
    return;
  }
  join_length = wire::kJoinClear + *length;
  state = JoinState::waiting;
  solved = challenge.difficulty == 0;
  solution = 0;
  deadline = now;  // the puzzle is worked on while waiting
  if (solved) solve(now);
}

void JoinInitiator::State::solve(Time now) {
  const Bytes whole = Bytes{join}.first(join_length);
  for (unsigned tried = 0; !solved && tried < kHashesPerTurn; ++tried) {
    store_be<wire::kSolution>(&join[wire::kJoinSolutionOffset], solution++);
    solved = crypto::solves(whole, challenge.difficulty);
  }
  if (now >= cookie_until) return start(now);  // a slow machine, or one that slept
  if (!solved) {
    deadline = now;
  } else if (now < wait_until) {
    if (now >= ask_again) {
      ++hellos;
      first_hello = now;
      outgoing = hello;
      ask_after *= 2;
      ask_again = now + ask_after;
    }
    deadline = std::min(wait_until, ask_again);
  } else {
    state = JoinState::join_sent;
    first_join = now;
    resend_after = wire::kHandshakeFirstResend;
    send_join(now);
  }
}

void JoinInitiator::State::send_join(Time now) {
  ++joins;
  ++joins_for_cookie;
  send(Bytes{join}.first(join_length), now);
}

void JoinInitiator::State::on_accept(const wire::Accept& accept, Time now) {
  if (state != JoinState::join_sent || accept.nonce != challenge.nonce) return;
  // A handshake is of no use after a message that does not verify. Somebody on the path may have forged that one, so
  // the handshake is made again, as it was, for the next.
  std::array<std::uint8_t, wire::kMaxDatagram> buffer;
  if (!noise && !write_noise(buffer)) return;
  const auto length = noise->read(accept.noise, buffer);
  if (!length || !take_answer(Bytes{buffer}.first(*length), now)) noise.reset();
}

/// False: authentic, but no answer; the node at the other end is at fault.
bool JoinInitiator::State::take_answer(Bytes payload, Time now) {
  std::optional<wire::Accepted> accepted;
  std::optional<wire::Denied> denied;
  JoinGrant granted;
  wire::RecordReader records{payload};
  while (auto record = records.next()) {
    if (const auto* a = std::get_if<wire::Accepted>(&*record)) accepted = *a;
    if (const auto* d = std::get_if<wire::Denied>(&*record)) denied = *d;
    if (const auto* info = std::get_if<wire::GroupInfo>(&*record)) granted.group_info = *info;
    if (const auto* epoch = std::get_if<wire::EpochRecord>(&*record)) granted.epochs.push_back(*epoch);
  }
  if (records.error() || accepted.has_value() == denied.has_value()) return false;
  if (denied) {
    denial_where_else.assign(denied->where_else.begin(), denied->where_else.end());
    denial = *denied;
    denial.where_else = denial_where_else;
    finish(JoinState::denied);
    return true;
  }
  granted.accepted = *accepted;
  granted.keys = noise->split();
  granted.round_trip = joins_for_cookie == 1 ? now - first_join : hello_round_trip;
  grant = std::move(granted);
  finish(JoinState::accepted);
  return true;
}

JoinInitiator::JoinInitiator(const crypto::PrivateKey* own_key, const crypto::PublicKey& responder,
                             const wire::JoinRequest& request, Bytes ticket, Random& random, Time now)
    : state_(std::make_unique<State>(own_key, responder, request, ticket, random)) {
  state_->start(now);
}

JoinInitiator::~JoinInitiator() = default;
JoinInitiator::JoinInitiator(JoinInitiator&&) noexcept = default;
JoinInitiator& JoinInitiator::operator=(JoinInitiator&&) noexcept = default;

void JoinInitiator::on_datagram(Bytes datagram, Time now) {
  if (const auto retry = wire::parse_retry(datagram)) state_->on_retry(*retry, datagram, now);
  if (const auto accept = wire::parse_accept(datagram)) state_->on_accept(*accept, now);
}

void JoinInitiator::on_timer(Time now) {
  State& s = *state_;
  if (now < s.deadline || s.done()) return;
  switch (s.state) {
    case JoinState::hello_sent:
      ++s.hellos;
      s.send(s.hello, now);
      return;
    case JoinState::waiting: s.solve(now); return;
    case JoinState::join_sent:
      if (s.joins_for_cookie >= kJoinsPerCookie || now >= s.cookie_until) {
        s.start(now);
      } else {
        s.send_join(now);
      }
      return;
    default: return;
  }
}

Time JoinInitiator::next_deadline() const { return state_->deadline; }

Bytes JoinInitiator::take_datagram() { return std::exchange(state_->outgoing, Bytes{}); }

JoinState JoinInitiator::state() const { return state_->state; }
JoinGrant JoinInitiator::take_grant() { return std::move(state_->grant); }
const wire::Denied& JoinInitiator::denial() const { return state_->denial; }
std::pair<std::uint8_t, std::uint8_t> JoinInitiator::offered_versions() const { return state_->offered; }
unsigned JoinInitiator::hellos_sent() const { return state_->hellos; }
unsigned JoinInitiator::joins_sent() const { return state_->joins; }

}  // namespace tiercast::control
