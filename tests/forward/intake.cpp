#include "relay/forward/intake.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "tests/forward/signed_frames.hpp"

namespace tiercast::intake_test {

using namespace tiercast::forward;
using test::Datagram;
using test::view;

namespace {

constexpr std::size_t kFrames = 100;  // of history
constexpr Duration kSilence = 60ms;

/// A relay's intake of group 7 with two sources and two parents.
struct Relay {
  test::SigningSource one{1, 11}, two{2, 22};
  test::Link link{0x51}, other_link{0x52};
  History history{kFrames};
  std::array<Source, 2> sources{one.as_source(), two.as_source()};
  Intake intake{GroupId{7}, sources, history, 20ms, kSilence};
  Distrust distrust;
  Time now{1h};

  /// What came over the first link, its MAC added.
  IntakeResult take(const Datagram& with_signature) { return raw(link.mac(with_signature)); }
  IntakeResult raw(const Datagram& d) { return intake.on_datagram(view(d), link.key, distrust, now); }
  /// Sequences of the other source's frames that have become of use.
  std::vector<std::uint64_t> released() {
    std::vector<std::uint64_t> out;
    while (const auto header = intake.take_released(now)) out.push_back(header->sequence.value);
    return out;
  }
  const IntakeCounters& count() const { return intake.counters(); }
  std::uint64_t drops() const {
    std::uint64_t all = 0;
    count().each([&](std::string_view name, const Counter& c) {
      if (name.find("_drop_") != name.npos) all += c.get();
    });
    return all;
  }
};

bool holds(const SlotRing::Pin& pin, const Datagram& with_signature) {
  return pin && std::equal(with_signature.begin(), with_signature.end(), pin.with_signature().begin(),
                           pin.with_signature().end());
}

}  // namespace

TEST_CASE("a good frame is stored as it came, with its signature and without the link's MAC") {
  Relay relay;
  const auto frame = relay.one.signed_frame(1000);
  const auto result = relay.take(frame);
  CHECK(result.taken == Taken::fresh);
  CHECK(result.header.sequence.value == 1000);
  CHECK(result.header.source.value == 1);
  CHECK(holds(relay.history.frame(Sequence{1000}), frame));
  CHECK(relay.history.frame(Sequence{1000}).datagram().size() == frame.size() - wire::kSignature);
  CHECK(relay.history.newest().value == 1000);
  CHECK(relay.count().frames.get() == 1);
  CHECK(relay.drops() == 0);
}

TEST_CASE("the empty and the longest frame are taken, a longer one is not") {
  Relay relay;
  CHECK(relay.take(relay.one.signed_frame(1, 0, 0)).taken == Taken::fresh);
  CHECK(relay.take(relay.one.signed_frame(2, 0, wire::kMaxOpus)).taken == Taken::fresh);
  auto longer = relay.one.signed_frame(4, 0, wire::kMaxOpus);
  longer.push_back(0);
  CHECK(relay.take(longer).taken == Taken::dropped);
  CHECK(relay.count().drop_malformed.get() == 1);
}

TEST_CASE("an equal copy from another parent is a duplicate and needs no second slot") {
  Relay relay;
  const auto frame = relay.one.signed_frame(1000);
  REQUIRE(relay.take(frame).taken == Taken::fresh);
  const auto copy = relay.other_link.mac(frame);
  CHECK(relay.intake.on_datagram(view(copy), relay.other_link.key, relay.distrust, relay.now).taken ==
        Taken::duplicate);
  CHECK(relay.count().duplicates.get() == 1);
  CHECK(relay.count().frames.get() == 1);
}

TEST_CASE("a datagram without the link's own MAC changes nothing") {
  Relay relay;
  const auto frame = relay.one.signed_frame(1000);
  const auto other = relay.other_link.mac(frame);  // another link's key
  CHECK(relay.raw(other).taken == Taken::dropped);
  const auto good = relay.link.mac(frame);
  for (std::size_t i = 0; i < good.size(); ++i) {
    auto bad = good;
    bad[i] ^= 0x80;
    CHECK(relay.raw(bad).taken == Taken::dropped);
  }
  CHECK(relay.count().drop_signature.get() == 0);  // the signature was never looked at
  CHECK(relay.history.newest().value == 0);
  CHECK(relay.raw(good).taken == Taken::fresh);
}

TEST_CASE("every truncation of every type is dropped, and counted once") {
  Relay relay;
  REQUIRE(relay.take(relay.one.signed_frame(1000)).taken == Taken::fresh);
  const std::vector<Datagram> all{
      relay.link.mac(relay.one.signed_frame(1001)),
      relay.link.mac(relay.one.attest(990, 25)),
      relay.link.mac(test::header_bytes(relay.one.header(wire::Type::idle, 1000))),
      relay.link.mac(test::header_bytes(relay.one.header(wire::Type::parity, 1000))),
  };
  for (const auto& whole : all) {
    for (std::size_t length = 0; length < whole.size(); ++length) {
      const auto before = relay.drops();
      const Datagram cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
      CHECK(relay.raw(cut).taken == Taken::dropped);
      CHECK(relay.drops() == before + 1);
    }
    CHECK(relay.raw(whole).taken != Taken::dropped);
  }
  CHECK(relay.history.newest().value == 1001);
}

TEST_CASE("a good MAC over what is too short for its type does not help") {
  Relay relay;
  const auto frame = relay.one.signed_frame(1000);
  for (std::size_t length = wire::kHeader; length < wire::kHeader + wire::kTag + wire::kSignature; ++length) {
    const Datagram cut(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(length));
    CHECK(relay.take(cut).taken == Taken::dropped);
  }
  CHECK(relay.count().drop_malformed.get() == relay.drops());
  REQUIRE(relay.take(relay.one.signed_frame(1000)).taken == Taken::fresh);
  const auto attest = relay.one.attest(990, 5);
  for (std::size_t length = wire::kHeader; length < attest.size(); ++length) {
    const Datagram cut(attest.begin(), attest.begin() + static_cast<std::ptrdiff_t>(length));
    CHECK(relay.take(cut).taken == Taken::dropped);
  }
  CHECK(relay.count().drop_malformed.get() == relay.drops());
}

TEST_CASE("random bytes, with a good MAC or without, never get anything stored") {
  Relay relay;
  test::SeededRandom random{5};
  for (int i = 0; i < 3000; ++i) {
    Datagram bytes(random.below(300));
    random.fill(bytes);
    if (!bytes.empty() && i % 2 == 0) bytes[0] = static_cast<std::uint8_t>(0x20 + random.below(3));
    if (bytes.size() > 6 && i % 4 == 0) {
      bytes[2] = 1;
      bytes[3] = bytes[4] = 0;
      bytes[5] = 7;
    }
    const auto result = i % 3 == 0 ? relay.raw(bytes) : relay.take(bytes);
    CHECK(result.taken == Taken::dropped);
  }
  CHECK(relay.history.newest().value == 0);
}

TEST_CASE("another group's frame is dropped") {
  Relay relay;
  auto frame = relay.one.frame(1000);
  frame[5] = 8;
  CHECK(relay.take(relay.one.sign(frame)).taken == Taken::dropped);
  CHECK(relay.count().drop_group.get() == 1);
}

TEST_CASE("a source that the group does not have is dropped, however well it signs") {
  Relay relay;
  test::SigningSource stranger{3, 33};
  CHECK(relay.take(stranger.signed_frame(1000)).taken == Taken::dropped);
  CHECK(relay.count().drop_source.get() == 1);
  REQUIRE(relay.take(relay.one.signed_frame(1000)).taken == Taken::fresh);
  CHECK(relay.take(stranger.attest(1000, 3)).taken == Taken::dropped);
  CHECK(relay.count().drop_source.get() == 2);
}

TEST_CASE("who holds the group's key but not the source's signs in vain") {
  Relay relay;
  test::SigningSource forger{1, 99};
  CHECK(relay.take(forger.signed_frame(1000)).taken == Taken::dropped);
  CHECK(relay.count().drop_signature.get() == 1);
  CHECK(relay.history.newest().value == 0);
  // The true one is not kept out by it.
  CHECK(relay.take(relay.one.signed_frame(1000)).taken == Taken::fresh);
}

TEST_CASE("a signature counts for its own source's id only") {
  Relay relay;
  auto frame = relay.one.frame(1000);
  frame[2] = 2;
  CHECK(relay.take(relay.one.sign(frame)).taken == Taken::dropped);
  CHECK(relay.count().drop_signature.get() == 1);
}

TEST_CASE("every bit of header and ciphertext is under the signature") {
  Relay relay;
  const auto frame = relay.one.signed_frame(1000);
  for (std::size_t i = 0; i < frame.size(); ++i) {
    auto bad = frame;
    bad[i] ^= 1;
    CHECK(relay.take(bad).taken == Taken::dropped);
  }
  CHECK(relay.history.newest().value == 0);
}

TEST_CASE(
    "what differs from the stored frame is told apart: a forgery, the source's own contradiction, the standby's") {
  Relay relay;
  const auto frame = relay.one.signed_frame(1000);
  REQUIRE(relay.take(frame).taken == Taken::fresh);

  auto forged = frame;
  forged[40] ^= 1;
  CHECK(relay.take(forged).taken == Taken::dropped);
  CHECK(relay.count().drop_signature.get() == 1);

  auto other_signature = frame;
  other_signature.back() ^= 1;
  CHECK(relay.take(other_signature).taken == Taken::dropped);
  CHECK(relay.count().drop_signature.get() == 2);

  CHECK(relay.take(relay.one.signed_frame(1000)).taken == Taken::dropped);
  CHECK(relay.count().drop_conflict.get() == 1);

  CHECK(relay.take(relay.two.signed_frame(1000)).taken == Taken::spare);
  CHECK(relay.count().drop_inactive_source.get() == 1);
  CHECK(relay.released().empty());

  CHECK(holds(relay.history.frame(Sequence{1000}), frame));
}

TEST_CASE(
    "a parent whose signatures are bad is read no faster than 50 a second; copies of what is proven cost nothing") {
  Relay relay;
  const auto frame = relay.one.signed_frame(1000);
  REQUIRE(relay.take(frame).taken == Taken::fresh);
  auto forged = relay.one.signed_frame(1001);
  forged[40] ^= 1;
  for (int i = 0; i < 200; ++i) CHECK(relay.take(forged).taken == Taken::dropped);
  CHECK(relay.count().drop_signature.get() == 50);
  CHECK(relay.count().drop_distrusted.get() == 150);
  CHECK(relay.take(frame).taken == Taken::duplicate);
  CHECK(relay.take(relay.one.signed_frame(1001)).taken == Taken::dropped);

  // Another parent is another matter; and so is this one a while later.
  Distrust other;
  CHECK(
      relay.intake
          .on_datagram(view(relay.other_link.mac(relay.one.signed_frame(1001))), relay.other_link.key, other, relay.now)
          .taken == Taken::fresh);
  relay.now += 100ms;
  for (int i = 0; i < 20; ++i) relay.take(forged);
  CHECK(relay.count().drop_signature.get() == 55);
  relay.now += 100ms;
  CHECK(relay.take(relay.one.signed_frame(1002)).taken == Taken::fresh);
}

TEST_CASE("a frame older than history is never taken again, replayed or new") {
  Relay relay;
  const auto first = relay.one.signed_frame(1000);
  REQUIRE(relay.take(first).taken == Taken::fresh);
  for (std::uint64_t s = 1001; s < 1000 + kFrames; ++s)
    REQUIRE(relay.take(relay.one.signed_frame(s)).taken == Taken::fresh);
  CHECK(relay.take(first).taken == Taken::duplicate);  // the oldest still there
  REQUIRE(relay.take(relay.one.signed_frame(1000 + kFrames)).taken == Taken::fresh);
  CHECK(relay.take(first).taken == Taken::dropped);
  CHECK(relay.take(relay.one.signed_frame(999)).taken == Taken::dropped);
  CHECK(relay.take(relay.one.signed_frame(1, wire::kFlagDiscontinuity)).taken == Taken::dropped);
  relay.now += 1h;
  CHECK(relay.take(first).taken == Taken::dropped);
  CHECK(relay.count().drop_stale.get() == 4);
}

TEST_CASE("sequence 0 is no frame") {
  Relay relay;
  CHECK(relay.take(relay.one.signed_frame(0)).taken == Taken::dropped);
  CHECK(relay.count().drop_malformed.get() == 1);
}

TEST_CASE("a frame whose slot is being sent from is dropped, and taken when it comes again") {
  Relay relay;
  REQUIRE(relay.take(relay.one.signed_frame(1000)).taken == Taken::fresh);
  const auto late = relay.one.signed_frame(1000 + kFrames);
  {
    const auto pin = relay.history.frame(Sequence{1000});
    CHECK(relay.take(late).taken == Taken::dropped);
    CHECK(relay.count().drop_pinned.get() == 1);
    CHECK(relay.history.newest().value == 1000);
  }
  CHECK(relay.take(late).taken == Taken::fresh);
}

TEST_CASE("IDLE says that the parent lives, and stores nothing") {
  Relay relay;
  const auto result = relay.take(test::header_bytes(relay.one.header(wire::Type::idle, 1234)));
  CHECK(result.taken == Taken::idle);
  CHECK(result.header.sequence.value == 1234);
  CHECK(relay.count().idles.get() == 1);
  CHECK(relay.history.newest().value == 0);
  auto longer = test::header_bytes(relay.one.header(wire::Type::idle, 1234));
  longer.push_back(0);
  CHECK(relay.take(longer).taken == Taken::dropped);
}

// --- two parents ---

TEST_CASE("two parents merged in any order give each frame exactly once, unchanged") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    Relay relay;
    test::SeededRandom random{seed};
    constexpr std::uint64_t kCount = 150;
    std::map<std::uint64_t, Datagram> sent;
    struct Arrival {
      std::uint64_t at;
      std::uint64_t sequence;
      bool second;
    };
    std::vector<Arrival> arrivals;
    for (std::uint64_t i = 0; i < kCount; ++i) {
      sent[5000 + i] = relay.one.signed_frame(5000 + i);
      // Each path delays by up to 30 frames, repeats some and loses some, but never both copies.
      const bool lost = random.below(10) == 0;
      const bool which = random.below(2) == 0;
      for (const bool second : {false, true}) {
        if (lost && second == which) continue;
        for (std::uint64_t copies = 1 + (random.below(8) == 0 ? 1 : 0); copies > 0; --copies)
          arrivals.push_back({i * 10 + random.below(300), 5000 + i, second});
      }
    }
    std::stable_sort(arrivals.begin(), arrivals.end(), [](auto& a, auto& b) { return a.at < b.at; });
    std::map<std::uint64_t, int> fresh;
    for (const auto& arrival : arrivals) {
      const auto& link = arrival.second ? relay.other_link : relay.link;
      relay.now = Time{1h} + arrival.at * 2ms;
      const auto d = link.mac(sent[arrival.sequence]);
      const auto result = relay.intake.on_datagram(view(d), link.key, relay.distrust, relay.now);
      if (result.taken != Taken::fresh) {
        CHECK(result.taken == Taken::duplicate);
        continue;
      }
      ++fresh[result.header.sequence.value];
      CHECK(holds(relay.history.frame(result.header.sequence), sent[arrival.sequence]));
    }
    CHECK(fresh.size() == kCount);
    CHECK(std::all_of(fresh.begin(), fresh.end(), [](const auto& f) { return f.second == 1; }));
    CHECK(relay.drops() == 0);
  }
}

// --- two sources ---

using Sequences = std::vector<std::uint64_t>;

TEST_CASE(
    "one source is forwarded until it has been silent; then what the other one sent meanwhile, whole and in order") {
  Relay relay;
  REQUIRE(relay.take(relay.one.signed_frame(1000)).taken == Taken::fresh);
  CHECK(relay.intake.next_deadline() == kNever);
  relay.now += 20ms;
  CHECK(relay.take(relay.two.signed_frame(1001)).taken == Taken::spare);
  CHECK(relay.intake.next_deadline() == relay.now + kSilence - 20ms);
  relay.now += kSilence - 21ms;
  const auto second = relay.two.signed_frame(1002);
  CHECK(relay.take(second).taken == Taken::spare);
  CHECK(relay.take(second).taken == Taken::spare);  // another parent's copy
  CHECK(relay.released() == Sequences{});
  CHECK(relay.intake.active().current() == SourceId{1});
  relay.now += 1ms;
  SUBCASE("time tells") { CHECK(relay.released() == Sequences{1001, 1002}); }
  SUBCASE("the next frame tells") {
    CHECK(relay.take(relay.two.signed_frame(1003)).taken == Taken::spare);
    CHECK(relay.released() == Sequences{1001, 1002, 1003});
  }
  CHECK(holds(relay.history.frame(Sequence{1002}), second));
  CHECK(relay.intake.active().current() == SourceId{2});
  CHECK(relay.count().source_changes.get() == 1);
  CHECK(relay.released() == Sequences{});
  // The first one is back: no flapping.
  relay.now += 20ms;
  const Sequence newest = relay.history.newest();
  CHECK(relay.take(relay.one.signed_frame(newest.value + 1)).taken == Taken::spare);
  CHECK(relay.take(relay.two.signed_frame(newest.value + 1)).taken == Taken::fresh);
  CHECK(relay.released() == Sequences{});
}

TEST_CASE("what one source lacks, the other one's frame fills at once; what neither lacks is forwarded once") {
  Relay relay;
  for (std::uint64_t s = 1000; s < 1100; ++s) {
    CAPTURE(s);
    relay.now += 20ms;
    const bool lost = s % 7 == 3;
    const bool first_is_late = s % 3 == 0;
    const auto take_first = [&] {
      if (!lost) CHECK(relay.take(relay.one.signed_frame(s)).taken == Taken::fresh);
    };
    if (!first_is_late) take_first();
    CHECK(relay.take(relay.two.signed_frame(s)).taken == Taken::spare);
    if (first_is_late) take_first();
    CHECK(relay.released() == (s % 7 == 4 ? Sequences{s - 1} : Sequences{}));
  }
  CHECK(relay.count().frames.get() == 100 - (1099 % 7 == 3 ? 1 : 0));
  CHECK(relay.count().spares_used.get() == 14);
  CHECK(relay.intake.active().current() == SourceId{1});
  CHECK(relay.count().source_changes.get() == 0);
}

TEST_CASE("when both sources have fallen silent, what the other one sent last is forwarded, and nothing stays due") {
  Relay relay;
  REQUIRE(relay.take(relay.one.signed_frame(1000)).taken == Taken::fresh);
  relay.now += 10ms;
  CHECK(relay.take(relay.two.signed_frame(1002)).taken == Taken::spare);
  relay.now += 10ms;
  CHECK(relay.take(relay.one.signed_frame(1001)).taken == Taken::fresh);
  relay.now += kSilence;
  CHECK(relay.intake.next_deadline() <= relay.now);
  CHECK(relay.released() == Sequences{1002});
  CHECK(relay.intake.next_deadline() > relay.now);
  CHECK(relay.intake.active().current() == SourceId{2});
}

TEST_CASE("old frames and copies do not keep a dead source active") {
  Relay relay;
  REQUIRE(relay.take(relay.one.signed_frame(1000)).taken == Taken::fresh);
  const auto last = relay.one.signed_frame(1010);
  REQUIRE(relay.take(last).taken == Taken::fresh);
  relay.now += kSilence - 1ms;
  CHECK(relay.take(last).taken == Taken::duplicate);
  CHECK(relay.take(relay.one.signed_frame(1005)).taken == Taken::fresh);  // a repair
  relay.now += 1ms;
  CHECK(relay.take(relay.two.signed_frame(1011)).taken == Taken::fresh);
}

TEST_CASE("after a takeover, holes are filled with either source's frames") {
  Relay relay;
  REQUIRE(relay.take(relay.one.signed_frame(1000)).taken == Taken::fresh);
  REQUIRE(relay.take(relay.one.signed_frame(1002)).taken == Taken::fresh);
  relay.now += kSilence;
  REQUIRE(relay.take(relay.two.signed_frame(1005)).taken == Taken::fresh);
  REQUIRE(relay.take(relay.two.signed_frame(1008)).taken == Taken::fresh);
  CHECK(relay.take(relay.one.signed_frame(1001)).taken == Taken::fresh);
  CHECK(relay.take(relay.two.signed_frame(1004)).taken == Taken::fresh);
  CHECK(relay.take(relay.one.signed_frame(1006)).taken == Taken::fresh);
  CHECK(relay.take(relay.two.signed_frame(1006)).taken == Taken::spare);
  CHECK(relay.count().drop_inactive_source.get() == 1);
  CHECK(relay.intake.active().current() == SourceId{2});
}

TEST_CASE("a forger cannot make another source active, nor keep one so") {
  Relay relay;
  test::SigningSource forger{2, 77};
  REQUIRE(relay.take(relay.one.signed_frame(1000)).taken == Taken::fresh);
  relay.now += kSilence;
  CHECK(relay.take(forger.signed_frame(1001)).taken == Taken::dropped);
  CHECK(relay.intake.active().current() == SourceId{1});
}

// --- far ahead ---

TEST_CASE("up to one history ahead is taken at once, further only when it is meant") {
  Relay relay;
  REQUIRE(relay.take(relay.one.signed_frame(1000)).taken == Taken::fresh);
  REQUIRE(relay.take(relay.one.signed_frame(1000 + kFrames)).taken == Taken::fresh);
  CHECK(relay.take(relay.one.signed_frame(1001 + 2 * kFrames)).taken == Taken::dropped);
  CHECK(relay.count().drop_ahead.get() == 1);
  CHECK(relay.history.newest().value == 1000 + kFrames);
  CHECK(relay.take(relay.one.signed_frame(1'000'000, wire::kFlagDiscontinuity)).taken == Taken::fresh);
  CHECK(relay.history.newest().value == 1'000'000);
}

TEST_CASE("the discontinuity flag means nothing without the source's signature") {
  Relay relay;
  REQUIRE(relay.take(relay.one.signed_frame(1000)).taken == Taken::fresh);
  test::SigningSource forger{1, 77};
  CHECK(relay.take(forger.signed_frame(1'000'000, wire::kFlagDiscontinuity)).taken == Taken::dropped);
  CHECK(relay.take(forger.signed_frame(1'000'001)).taken == Taken::dropped);
  CHECK(relay.count().drop_signature.get() == 2);
  CHECK(relay.take(relay.one.signed_frame(1'000'002)).taken == Taken::dropped);  // so it is the first stray
  CHECK(relay.count().drop_ahead.get() == 1);
}

TEST_CASE("a relay that was cut off goes on where the stream is now") {
  Relay relay;
  REQUIRE(relay.take(relay.one.signed_frame(1000)).taken == Taken::fresh);
  relay.now += 1s;
  CHECK(relay.take(relay.one.signed_frame(90'000)).taken == Taken::dropped);
  relay.now += 1ms;
  CHECK(relay.take(relay.one.signed_frame(90'000)).taken == Taken::fresh);
}

TEST_CASE("copies do not delay that") {
  Relay relay;
  const auto old = relay.one.signed_frame(1000);
  REQUIRE(relay.take(old).taken == Taken::fresh);
  relay.now += 900ms;
  REQUIRE(relay.take(old).taken == Taken::duplicate);
  relay.now += 101ms;
  CHECK(relay.take(relay.one.signed_frame(90'000)).taken == Taken::fresh);
}

TEST_CASE("one stray sequence of a sick origin wedges nothing") {
  Relay relay;
  REQUIRE(relay.take(relay.one.signed_frame(1000)).taken == Taken::fresh);
  const auto stray = relay.one.signed_frame(0xffff'ffff'ffff);
  CHECK(relay.take(stray).taken == Taken::dropped);
  CHECK(relay.take(stray).taken == Taken::dropped);  // nor its copies
  for (std::uint64_t s = 1001; s < 1300; ++s) {
    relay.now += 20ms;
    CHECK(relay.take(relay.one.signed_frame(s)).taken == Taken::fresh);
    CHECK(relay.take(stray).taken == Taken::dropped);
  }
}

TEST_CASE("a parent that feeds a fresh relay an old recording is overruled by the live stream's second frame") {
  for (const bool standby_is_live : {false, true}) {
    CAPTURE(standby_is_live);
    Relay relay;
    auto& live = standby_is_live ? relay.two : relay.one;
    const auto older = relay.one.signed_frame(2'000'000);  // a second recording, to confuse
    std::uint64_t old = 1'000'000;
    std::uint64_t now = 9'000'000;
    unsigned live_frames = 0;
    for (int i = 0; i < 10; ++i) {
      relay.now += 20ms;
      relay.take(relay.one.signed_frame(old++));
      relay.take(older);
      live_frames += relay.take(live.signed_frame(now++)).taken == Taken::fresh ? 1 : 0;
    }
    CHECK(live_frames == 9);
    CHECK(relay.history.newest().value == now - 1);
  }
}

// --- attestations ---

TEST_CASE("an attestation is taken once, whoever brings it") {
  Relay relay;
  REQUIRE(relay.take(relay.one.signed_frame(1000)).taken == Taken::fresh);
  const auto attest = relay.one.attest(990, 25);
  const auto result = relay.take(attest);
  CHECK(result.taken == Taken::fresh);
  REQUIRE(result.attestation != 0);
  const auto kept = relay.history.attestation(result.attestation);
  REQUIRE(kept);
  CHECK(std::equal(attest.begin(), attest.end(), kept.datagram().begin(), kept.datagram().end()));
  const auto copy = relay.other_link.mac(attest);
  CHECK(relay.intake.on_datagram(view(copy), relay.other_link.key, relay.distrust, relay.now).taken ==
        Taken::duplicate);
  CHECK(relay.count().attestations.get() == 1);
  // Others are others: another first, count, source.
  CHECK(relay.take(relay.one.attest(991, 25)).taken == Taken::fresh);
  CHECK(relay.take(relay.one.attest(990, 24)).taken == Taken::fresh);
  CHECK(relay.take(relay.two.attest(990, 25)).taken == Taken::fresh);
}

TEST_CASE("a forged attestation is dropped and does not keep the true one out") {
  Relay relay;
  REQUIRE(relay.take(relay.one.signed_frame(1000)).taken == Taken::fresh);
  const auto attest = relay.one.attest(990, 25);
  auto forged = attest;
  forged[30] ^= 1;
  CHECK(relay.take(forged).taken == Taken::dropped);
  CHECK(relay.count().drop_signature.get() == 1);
  REQUIRE(relay.take(attest).taken == Taken::fresh);
  CHECK(relay.take(forged).taken == Taken::dropped);  // nor is it taken for a copy
  CHECK(relay.count().drop_signature.get() == 2);
  CHECK(relay.take(relay.one.attest(990, 25)).taken == Taken::dropped);
  CHECK(relay.count().drop_conflict.get() == 1);
}

TEST_CASE("an attestation of what history has forgotten is not passed on again") {
  Relay relay;
  const auto attest = relay.one.attest(990, 25);
  CHECK(relay.take(attest).taken == Taken::dropped);  // nothing here yet that it could prove
  REQUIRE(relay.take(relay.one.signed_frame(1000)).taken == Taken::fresh);
  REQUIRE(relay.take(attest).taken == Taken::fresh);
  REQUIRE(relay.take(relay.one.signed_frame(1050)).taken == Taken::fresh);
  REQUIRE(relay.take(relay.one.signed_frame(1014 + kFrames - 1)).taken == Taken::fresh);
  CHECK(relay.take(attest).taken == Taken::duplicate);
  REQUIRE(relay.take(relay.one.signed_frame(1014 + kFrames)).taken == Taken::fresh);
  CHECK(relay.take(attest).taken == Taken::dropped);
  CHECK(relay.count().drop_stale.get() == 2);
}

// --- what only a later version knows ---

TEST_CASE("parity and later versions' types pass once, as they came, and are not stored") {
  Relay relay;
  REQUIRE(relay.take(relay.one.signed_frame(1000)).taken == Taken::fresh);
  REQUIRE(relay.take(relay.one.signed_frame(1001)).taken == Taken::fresh);
  for (const std::uint8_t type : {std::uint8_t{0x21}, std::uint8_t{0x3f}}) {
    auto opaque = test::header_bytes(relay.one.header(wire::Type{type}, 1001));
    opaque.insert(opaque.end(), 77, 0x5a);
    const auto with_mac = relay.link.mac(opaque);
    const auto result = relay.raw(with_mac);
    CHECK(result.taken == Taken::opaque);
    CHECK(std::equal(opaque.begin(), opaque.end(), result.opaque.begin(), result.opaque.end()));
    const auto copy = relay.other_link.mac(opaque);
    CHECK(relay.intake.on_datagram(view(copy), relay.other_link.key, relay.distrust, relay.now).taken ==
          Taken::duplicate);
    auto forged = with_mac;
    forged[20] ^= 1;
    CHECK(relay.raw(forged).taken == Taken::dropped);
  }
  CHECK(relay.count().opaques.get() == 2);
}

TEST_CASE("what is not signed is never more than what is, and of history's time") {
  Relay relay;
  test::SeededRandom random{3};
  const auto opaque = [&](std::uint64_t sequence) {
    auto d = test::header_bytes(relay.one.header(wire::Type{0x30}, sequence));
    d.resize(40);
    random.fill(std::span{d}.subspan(wire::kHeader));
    return d;
  };
  CHECK(relay.take(opaque(1000)).taken == Taken::dropped);  // before the first frame
  for (std::uint64_t s = 1000; s < 1010; ++s) REQUIRE(relay.take(relay.one.signed_frame(s)).taken == Taken::fresh);
  CHECK(relay.take(opaque(1009 - kFrames)).taken == Taken::dropped);
  CHECK(relay.take(opaque(1010 + kFrames)).taken == Taken::dropped);
  unsigned passed = 0;
  for (int i = 0; i < 100; ++i) passed += relay.take(opaque(1005)).taken == Taken::opaque ? 1 : 0;
  CHECK(passed == 10);
  CHECK(relay.count().drop_opaque_rate.get() == 90);
}

}  // namespace tiercast::intake_test
