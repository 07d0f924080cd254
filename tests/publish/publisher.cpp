#include "relay/publish/publisher.hpp"

#include <doctest/doctest.h>

#include <map>
#include <set>
#include <vector>

#include "relay/publish/epoch_schedule.hpp"
#include "tests/support/seed_key.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::publish::publisher_test {
namespace {

constexpr GroupId kGroup{7};
constexpr SourceId kSource{2};
using test::seed_key;

wire::EpochRecord epoch(std::uint32_t number) {
  wire::EpochRecord record{kGroup, kSource, Epoch{number}, {}};
  record.value.fill(static_cast<std::uint8_t>(number));
  return record;
}

/// What a receiver holds: opens every frame with the values announced, verifies signatures and attestations.
struct Receiver {
  explicit Receiver(const crypto::PublicKey& key) : source(key) {}

  std::vector<std::uint8_t> open(Bytes datagram, Bytes signature) {
    REQUIRE(crypto::verify_frame(source, datagram, signature));
    const auto header = wire::parse_header(datagram);
    REQUIRE(header);
    REQUIRE(header->type == wire::Type::frame);
    REQUIRE(values.count(header->epoch.value) == 1);
    const auto key =
        crypto::FrameKey::derive({}, values.at(header->epoch.value), header->group, header->source, header->epoch);
    std::vector<std::uint8_t> opus(datagram.size());
    const auto size = key.open(datagram, opus);
    REQUIRE(size);
    opus.resize(*size);
    REQUIRE(nonces.emplace(header->epoch.value, header->sequence.value).second);
    hashes[{header->epoch.value, header->sequence.value}] = crypto::attest_hash(datagram);
    return opus;
  }
  void attest(Bytes datagram) {
    const auto attest = wire::parse_attest(datagram);
    REQUIRE(attest);
    REQUIRE(crypto::verify_attest(source, attest->signed_part, attest->signature));
    for (std::size_t i = 0; i < attest->count; ++i) {
      const auto known = hashes.find({attest->header.epoch.value, attest->header.sequence.value + i});
      const crypto::AttestHash expected = known == hashes.end() ? crypto::AttestHash{} : known->second;
      const Bytes hash = attest->hash(i);
      REQUIRE(std::equal(hash.begin(), hash.end(), expected.begin()));
      if (known != hashes.end()) ++attested[known->first];
    }
    attests.push_back(*attest);
  }

  crypto::PublicKey source;
  std::map<std::uint32_t, wire::EpochValue> values;
  std::set<std::pair<std::uint32_t, std::uint64_t>> nonces;
  std::map<std::pair<std::uint32_t, std::uint64_t>, crypto::AttestHash> hashes;
  std::map<std::pair<std::uint32_t, std::uint64_t>, int> attested;
  std::vector<wire::Attest> attests;  // views are stale: headers and counts only
};

struct Stage {
  explicit Stage(Sequence above = Sequence{0})
      : publisher(kGroup, kSource, seed_key(), above), receiver(publisher.public_key()) {}
  bool use(const wire::EpochRecord& record) {
    receiver.values[record.epoch.value] = record.value;
    const bool used = publisher.use_epoch(record);
    take();
    return used;
  }
  bool publish(std::uint64_t sequence, std::uint8_t flags = 0, std::vector<std::uint8_t> opus = {8, 1, 2, 3}) {
    Tick tick;
    tick.sequence = Sequence{sequence};
    tick.flags = flags;
    tick.opus = opus;
    std::array<std::uint8_t, wire::kMaxSealed + wire::kSignature> out{};
    const auto size = publisher.publish(tick, out, now);
    if (!size) return false;
    const Bytes datagram = Bytes{out}.first(*size);
    const auto header = wire::parse_header(datagram);
    REQUIRE(header->sequence == Sequence{sequence});
    REQUIRE(header->flags == flags);
    REQUIRE(header->group == kGroup);
    REQUIRE(header->source == kSource);
    REQUIRE(receiver.open(datagram, Bytes{out}.subspan(*size, wire::kSignature)) == opus);
    take();
    return true;
  }
  void take() {
    while (const auto datagram = publisher.take_attestation(now)) receiver.attest(*datagram);
  }
  const wire::Attest& last() const { return receiver.attests.back(); }

  Time now = Time{} + 5s;
  Publisher publisher;
  Receiver receiver;
};

TEST_CASE("nothing is sealed before there is an epoch, nor with another source's") {
  Stage stage;
  CHECK_FALSE(stage.publish(1));
  CHECK(stage.publisher.counters().drop_no_epoch.get() == 1);
  auto other = epoch(5);
  other.source = SourceId{1};
  CHECK_FALSE(stage.use(other));
  other = epoch(5);
  other.group = GroupId{8};
  CHECK_FALSE(stage.use(other));
  CHECK(stage.use(epoch(5)));
  CHECK(stage.publish(1));
}

TEST_CASE("frames of every size open and verify, a longer one is refused and uses nothing up") {
  Stage stage;
  stage.use(epoch(5));
  CHECK(stage.publish(1, 0, {}));
  CHECK(stage.publish(2, 0, std::vector<std::uint8_t>(wire::kMaxOpus, 7)));
  CHECK_FALSE(stage.publish(3, 0, std::vector<std::uint8_t>(wire::kMaxOpus + 1, 7)));
  CHECK(stage.publish(3));
  std::array<std::uint8_t, wire::kMaxSealed + wire::kSignature - 1> too_short{};
  Tick tick;
  tick.sequence = Sequence{4};
  CHECK_FALSE(stage.publisher.publish(tick, too_short, stage.now));
  CHECK(stage.publish(4));
  CHECK(stage.publisher.counters().frames.get() == 4);
  CHECK(stage.publisher.counters().drop_refused.get() == 2);
}

TEST_CASE("no sequence is sealed twice, nor below the last, across epochs and from the start") {
  Stage stage{Sequence{100}};
  stage.use(epoch(5));
  CHECK_FALSE(stage.publish(100));
  CHECK(stage.publish(101));
  CHECK_FALSE(stage.publish(101));
  CHECK(stage.use(epoch(6)));
  CHECK_FALSE(stage.publish(101));
  CHECK(stage.publish(102));
  CHECK_FALSE(stage.use(epoch(6)));
  CHECK_FALSE(stage.use(epoch(5)));
  CHECK(stage.publish(103));
  CHECK(stage.receiver.nonces.count({6, 103}) == 1);
  CHECK(stage.publisher.counters().frames_this_epoch.get() == 2);
}

TEST_CASE("an attestation covers 25 frames, or what 500 ms brought") {
  Stage stage;
  stage.use(epoch(5));
  for (std::uint64_t s = 1; s <= 24; ++s) stage.publish(s);
  CHECK(stage.receiver.attests.empty());
  stage.publish(25);
  REQUIRE(stage.receiver.attests.size() == 1);
  CHECK(stage.last().header.sequence == Sequence{1});
  CHECK(stage.last().count == 25);
  CHECK(stage.publisher.next_deadline() == kNever);
  stage.publish(26);
  CHECK(stage.publisher.next_deadline() == stage.now + 500ms);
  stage.now += 499ms;
  stage.publish(27);
  CHECK(stage.receiver.attests.size() == 1);
  stage.now += 1ms;
  stage.take();
  REQUIRE(stage.receiver.attests.size() == 2);
  CHECK(stage.last().header.sequence == Sequence{26});
  CHECK(stage.last().count == 2);
  for (const auto& [frame, times] : stage.receiver.attested) CHECK(times == 1);
  CHECK(stage.receiver.attested.size() == 27);
}

TEST_CASE("a change of epoch closes the old one's attestation, in the old epoch's name, before the first new frame") {
  Stage stage;
  stage.use(epoch(5));
  stage.publish(1);
  stage.publish(2);
  stage.use(epoch(6));
  REQUIRE(stage.receiver.attests.size() == 1);
  CHECK(stage.last().header.epoch == Epoch{5});
  CHECK(stage.last().count == 2);
  stage.publish(3);
  stage.now += 500ms;
  stage.take();
  CHECK(stage.last().header.epoch == Epoch{6});
  CHECK(stage.last().header.sequence == Sequence{3});
}

TEST_CASE("an end and a discontinuity are attested at once") {
  Stage stage;
  stage.use(epoch(5));
  stage.publish(1);
  stage.publish(1000, wire::kFlagDiscontinuity);
  REQUIRE(stage.receiver.attests.size() == 2);
  CHECK(stage.receiver.attests[0].header.sequence == Sequence{1});
  CHECK_FALSE(stage.receiver.attests[0].header.jumps());
  CHECK(stage.last().header.sequence == Sequence{1000});
  CHECK(stage.last().header.jumps());
  CHECK(stage.last().count == 1);
  stage.publish(1001);
  stage.publish(1002, wire::kFlagEnd);
  REQUIRE(stage.receiver.attests.size() == 3);
  CHECK(stage.last().header.ends());
  CHECK(stage.last().count == 2);
  CHECK(stage.publisher.next_deadline() == kNever);
}

TEST_CASE("an absent sequence has a zero hash, a wide gap begins a new run") {
  Stage stage;
  stage.use(epoch(5));
  stage.publish(10);
  stage.publish(12);
  stage.publish(73);
  REQUIRE(stage.receiver.attests.size() == 1);  // 64 places: the receiver checks their hashes
  CHECK(stage.last().count == 64);
  stage.publish(74);
  stage.publish(138);
  CHECK(stage.receiver.attests.size() == 2);
  CHECK(stage.last().count == 1);
}

TEST_CASE("attestations that nobody takes are dropped, oldest first, and counted") {
  Publisher publisher{kGroup, kSource, seed_key(), Sequence{0}};
  publisher.use_epoch(epoch(5));
  std::array<std::uint8_t, wire::kMaxSealed + wire::kSignature> out{};
  for (std::uint64_t s = 1; s <= 6; ++s) {
    Tick tick;
    tick.sequence = Sequence{s};
    tick.flags = wire::kFlagDiscontinuity;
    publisher.publish(tick, out, Time{});
  }
  CHECK(publisher.attester_counters().drop_not_taken.get() == 2);
  CHECK(wire::parse_attest(*publisher.take_attestation(Time{}))->header.sequence == Sequence{3});
}

TEST_CASE("over any history of restarts, rotations and jumps each frame opens, and no key meets a sequence twice") {
  for (std::uint64_t seed = 1; seed <= 25; ++seed) {
    CAPTURE(seed);
    test::SeededRandom random{seed};
    EpochState disk;
    Sequence stored;
    Time now = Time{} + 1000s;
    const auto moment = [&](Duration error) {
      return Moment{
          now, WallTime{1'700'000'000s + std::chrono::duration_cast<std::chrono::microseconds>(now - Time{} + error)}};
    };
    Receiver receiver{crypto::signing_public_key(seed_key())};
    std::uint64_t sealed = 0;
    for (int start = 0; start < 6; ++start) {
      const Duration error = std::chrono::seconds{random.below(20)};  // of the wall clock at this start
      EpochSchedule schedule{kGroup, kSource, disk, 35s, random, moment(error)};
      disk = *schedule.to_persist(now);
      schedule.on_persisted(now);
      Ingest ingest{20, stored.next(), moment(error)};
      Publisher publisher{kGroup, kSource, seed_key(), stored};
      const auto follow = [&] {
        for (const auto& record : schedule.announced()) receiver.values[record.epoch.value] = record.value;
        publisher.use_epoch(*schedule.current());
        while (const auto attest = publisher.take_attestation(now)) receiver.attest(*attest);
      };
      follow();
      const auto steps = 50 + random.below(400);
      for (std::uint64_t step = 0; step < steps; ++step) {
        ingest.on_timer(moment(error));
        Tick tick;
        while (ingest.next(tick)) {
          std::array<std::uint8_t, wire::kMaxSealed + wire::kSignature> out{};
          const auto size = publisher.publish(tick, out, now);
          REQUIRE(size);
          receiver.open(Bytes{out}.first(*size), Bytes{out}.subspan(*size, wire::kSignature));
          ++sealed;
          while (const auto attest = publisher.take_attestation(now)) receiver.attest(*attest);
        }
        if (random.below(100) == 0) now += std::chrono::seconds{random.below(40)};
        if (random.below(50) == 0) schedule.request_rotation(now);
        schedule.on_timer(moment(error));
        if (const auto state = schedule.to_persist(now)) {
          disk = *state;
          if (random.below(5) == 0) break;  // killed after the write
          schedule.on_persisted(now);
          follow();
        }
        if (step % 50 == 0) stored = publisher.last();
        now += 20ms;
      }
      if (random.below(2) == 0) now += std::chrono::seconds{random.below(5)};
    }
    CHECK(receiver.nonces.size() == sealed);
    for (const auto& [frame, times] : receiver.attested) REQUIRE(times == 1);
  }
}

}  // namespace
}  // namespace tiercast::publish::publisher_test
