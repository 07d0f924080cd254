// What an origin has on its disk of its sequences, and where the next process begins.
#include "relay/node/origin.hpp"

#include <doctest/doctest.h>

#include "relay/node/feed_group.hpp"
#include "tests/publish/rtp_input.hpp"
#include "tests/support/seed_key.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::origin_test {

using node::Origin;

namespace {

constexpr GroupId kGroup{3};
constexpr SourceId kSource{1};

/// One machine's clock and disk, and the process that runs on it now.
struct Machine : node::FrameSink {
  void on_frame_stored(node::FeedGroup&, Sequence sequence) override {
    CHECK(sequence > newest);
    newest = sequence;
  }
  void on_attestation_stored(node::FeedGroup&, std::uint64_t) override {}
  void on_opaque_stored(node::FeedGroup&, std::uint64_t) override {}

  Moment moment() const {
    return {now,
            WallTime{1'700'000'000s + wall_off} + std::chrono::duration_cast<std::chrono::microseconds>(now - Time{})};
  }
  Sequence wall() const { return Sequence{static_cast<std::uint64_t>(moment().wall.time_since_epoch() / 20ms)}; }

  /// `same_boot`: what was saved says how long ago that is.
  void start(bool same_boot = true) {
    Origin::Setup setup;
    setup.group = kGroup;
    setup.source = kSource;
    setup.frame_ms = frame_ms;
    setup.signing_key = &key;
    setup.random = &random;
    if (disk) {
      setup.epochs = disk->epochs;
      setup.last = disk->last;
      if (same_boot) setup.since = now - disk->at;
      if (same_boot) setup.point = disk->point;
    }
    group = std::make_unique<node::FeedGroup>(
        std::make_unique<node::Group>(kGroup, "group", std::chrono::milliseconds{frame_ms},
                                      std::vector<forward::Source>{{kSource, {}}}),
        random);
    origin.emplace(setup, moment());
    save();
  }
  void save() {
    while (const auto job = origin->take_save(now)) {
      saves += job->of_epochs ? 0U : 1U;
      if (disk_works) disk = *job;
      origin->on_saved(disk_works, moment());
    }
  }
  /// Empty ticks, as before the talk.
  void run(Duration how_long) {
    for (const Time until = now + how_long; now < until; now += 10ms) {
      origin->on_timer(moment());
      origin->run(*group, *this, moment());
      save();
    }
  }
  /// Packets, each so much later than before.
  void talk(Duration how_long, Duration later = 0ms) {
    run(later);
    for (const Time until = now + how_long; now < until;) {
      seal(1);
      save();
      run(20ms);
    }
  }
  std::uint64_t ticks_with_audio() const {
    const auto& counters = origin->ingest().counters();
    return counters.ticks.get() - counters.empty_ticks.get();
  }
  /// The encoder goes on, and nobody is there.
  void away(Duration how_long) {
    for (const Time until = now + how_long; now < until; now += 20ms) encoder.next();
  }
  /// Which sequence the encoder's first packet has, or would have.
  std::int64_t numbering() const {
    const wire::GroupInfo said = origin->statement();
    REQUIRE(said.ssrc == encoder.ssrc);
    return static_cast<std::int64_t>(said.stamped.value) -
           static_cast<std::int32_t>(said.rtp_timestamp - encoder.first_stamp) / 960;
  }
  /// Packets, all at once.
  void seal(int packets) {
    for (int i = 0; i < packets; ++i) {
      origin->on_rtp(encoder.next(), moment());
      origin->run(*group, *this, moment());
    }
  }
  void burst(int packets) {
    seal(packets);
    save();
  }

  crypto::PrivateKey key = test::seed_key();
  test::SeededRandom random{7};
  test::Encoder encoder;
  Time now{1000s};
  std::chrono::seconds wall_off{0};
  Sequence newest;
  std::optional<Origin::SaveJob> disk;
  bool disk_works = true;
  std::uint8_t frame_ms = 20;
  std::size_t saves = 0;
  std::unique_ptr<node::FeedGroup> group;
  std::optional<Origin> origin;
};

}  // namespace

TEST_CASE("a process goes on above all that the last one sealed, however far the wall clock was set back") {
  for (const auto back :
       {std::chrono::seconds{0}, std::chrono::seconds{2}, std::chrono::seconds{4}, std::chrono::seconds{3600}})
    for (const Duration lived : {Duration{20ms}, Duration{700ms}, Duration{4900ms}, Duration{12s}}) {
      CAPTURE(back.count());
      CAPTURE(lived.count());
      Machine m;
      m.start();
      m.run(lived);
      const Sequence last = m.newest;
      m.now += 50ms;
      m.wall_off -= back;
      m.start();
      m.run(1s);  // the sink sees that nothing comes again
      CHECK(m.newest >= last.plus(50));
      CHECK(m.newest <= last.plus(50 + 12));
    }
}

TEST_CASE("a clock that goes on as it did is where a process begins") {
  Machine m;
  m.start();
  m.run(8s);
  m.now += 10s;
  m.start();
  m.run(200ms);
  CHECK(distance(m.wall(), m.newest) <= 0);
  CHECK(distance(m.wall(), m.newest) >= -1);
}

TEST_CASE("an encoder that goes on keeps its numbers over a restart of the origin, wherever the wall clock was set") {
  for (const auto by : {-3600s, -3s, 0s, 3s, 3600s})
    for (const Duration later : {Duration{0ms}, Duration{10ms}, Duration{70ms}, Duration{190ms}}) {
      CAPTURE(by.count());
      CAPTURE(later.count());
      Machine m;
      m.start();
      m.now += 7ms;
      m.talk(1s);
      const std::int64_t numbering = m.numbering();
      m.away(1500ms);
      m.wall_off += by;
      m.start();
      m.talk(2s, later);
      CHECK(m.numbering() == numbering);
      // What was promised to be above all that had been sealed is some ticks long.
      CHECK(m.ticks_with_audio() >= 100 - 12);
    }
}

TEST_CASE("how an origin numbers is on the disk soon after it has changed") {
  Machine m;
  m.start();
  m.talk(1s);
  m.encoder.ssrc += 1;  // started again
  m.encoder.first_stamp += 123'456;
  m.now += 31ms;
  m.talk(500ms);
  REQUIRE(m.disk);
  CHECK(m.disk->point.ssrc == m.encoder.ssrc);
  const std::int64_t numbering = m.numbering();
  m.away(200ms);
  m.wall_off += 3s;
  m.start();
  m.talk(500ms);
  CHECK(m.numbering() == numbering);
}

TEST_CASE("an origin that is started twice before its encoder is heard again still knows its numbers") {
  Machine m;
  m.start();
  m.now += 7ms;
  m.talk(1s);
  const std::int64_t numbering = m.numbering();
  for (int i = 0; i < 3; ++i) {
    m.away(200ms);
    m.wall_off += 3s;
    m.start();
  }
  m.talk(1s, 70ms);
  CHECK(m.numbering() == numbering);
}

TEST_CASE("stamps that jitter do not move an encoder's numbers over restarts") {
  Machine m;
  m.start();
  m.talk(1s);
  const std::int64_t numbering = m.numbering();
  for (int i = 0; i < 6; ++i) {
    for (int packet = 0; packet < 251 + i; ++packet) {
      const std::uint32_t jitter = packet % 2 == 0 ? 400 : 0;  // less than half a frame
      m.encoder.first_stamp += jitter;
      m.talk(20ms);
      m.encoder.first_stamp -= jitter;
    }
    m.away(100ms);
    m.start();
    m.talk(1s);
    CHECK(m.numbering() == numbering);
  }
}

TEST_CASE("with frames of another length an origin goes by its clock, above all that was sealed") {
  Machine m;
  m.start();
  m.run(4900ms);
  const Sequence last = m.newest;
  m.frame_ms = 10;
  m.start();
  m.run(200ms);
  CHECK(m.newest > last.plus(last.value / 2));  // twice as many have been since 1970
  m.run(4700ms);
  const Sequence then = m.newest;
  m.frame_ms = 60;
  m.now += 3s;
  m.start();
  m.run(200ms);
  CHECK(m.newest > then);
}

TEST_CASE("another encoder, or one whose stamps leapt meanwhile, goes by the clock") {
  for (const bool leaps : {false, true}) {
    CAPTURE(leaps);
    Machine m;
    m.start();
    m.talk(1s);
    const Sequence last = m.newest;
    (leaps ? m.encoder.first_stamp : m.encoder.ssrc) += 48'000 * 60;
    m.away(1s);
    m.start();
    m.talk(1s);
    CHECK(distance(last, m.newest) >= 99);
    CHECK(distance(last, m.newest) <= 101);
  }
}

TEST_CASE("after another boot nobody knows how long ago the last save was: a process begins above the longest time") {
  Machine m;
  m.start();
  m.run(9900ms);
  const Sequence last = m.newest;
  m.wall_off -= 3s;
  m.start(false);
  m.run(1s);
  CHECK(m.newest <= last.plus(50 * 12));
}

TEST_CASE("a sender's burst is on the disk soon: what it was ahead of the clock is not sealed again") {
  Machine m;
  m.start();
  m.run(2s);
  m.burst(100);  // two seconds of it
  m.run(300ms);
  const Sequence last = m.newest;
  REQUIRE(distance(m.wall(), last) > 50);
  m.now += 50ms;
  m.start();
  m.run(40ms);
  CHECK(m.newest > last);
}

TEST_CASE(
    "a steady stream is saved every five seconds, and a disk that fails is not asked more than four times a second") {
  Machine m;
  m.start();
  m.run(1s);
  m.saves = 0;
  m.run(20s);
  CHECK(m.saves == 4);
  m.disk_works = false;
  m.saves = 0;
  for (int i = 0; i < 50; ++i) {
    m.burst(5);
    m.run(20ms);
  }
  CHECK(m.saves >= 1);
  CHECK(m.saves <= 5);
}

TEST_CASE("what is sealed while the disk writes is on it soon, too") {
  Machine m;
  m.start();
  m.run(2s);
  m.seal(10);
  const auto job = m.origin->take_save(m.now);
  REQUIRE(job);
  m.seal(90);
  m.disk = *job;
  m.origin->on_saved(true, m.moment());
  m.run(500ms);
  const Sequence last = m.newest;
  m.now += 50ms;
  m.start();
  m.run(40ms);
  CHECK(m.newest > last);
}

TEST_CASE("a disk that failed for long, and a clock that was set back, lead to no number twice") {
  Machine m;
  m.start();
  m.run(6s);
  m.disk_works = false;
  m.run(90s);
  const Sequence last = m.newest;
  m.disk_works = true;
  m.now += 50ms;
  m.wall_off -= 3600s;
  m.start();
  m.run(1s);  // the sink sees that nothing comes again
  CHECK(m.newest > last);
}

}  // namespace tiercast::origin_test
