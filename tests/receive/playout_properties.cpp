// What must hold of a playout whatever the network does: many seeded histories of loss, reordering, resending, two
// sources, rotating epochs and forgery, on virtual time.
#include <doctest/doctest.h>

#include <algorithm>
#include <optional>

#include "tests/receive/stream.hpp"

namespace tiercast::playout_properties_test {

using namespace tiercast::test;
using receive::Played;
using receive::PlayedKind;
using receive::Playout;

namespace {

constexpr std::uint8_t kForged = 0xff;
constexpr auto kBase = 30ms;  // the least that a datagram needs

struct Event {
  enum class Kind { frame, attest, epoch } kind;
  Time time;
  Datagram datagram;
  wire::EpochRecord record{};
};

struct History {
  explicit History(std::uint64_t seed, bool strict_mode, bool with_forgery)
      : random(seed), strict(strict_mode), forgery(with_forgery) {
    constexpr int kFrames[] = {10, 20, 40, 60};
    frame = std::chrono::milliseconds{kFrames[random.below(4)]};
    first = 1 + random.below(1u << 30);
    count = 150 + random.below(150);
    delay = std::chrono::milliseconds{strict ? 700 + random.below(600) : 100 + random.below(500)};
    loss = random.below(30);
    make();
  }

  Time sent(std::uint64_t s) const { return at(frame * static_cast<int>(s - first)); }
  bool chance(std::uint64_t percent) { return random.below(100) < percent; }
  Duration jitter(std::uint64_t ms) { return Duration{1ms} * static_cast<int>(random.below(ms + 1)); }
  Epoch epoch_of(std::uint64_t s) const { return Epoch{static_cast<std::uint32_t>(5000 + (s - first) / 60)}; }

  void add_frame(const Datagram& d, Time time) { events.push_back({Event::Kind::frame, time, d, {}}); }

  void make() {
    std::vector<Datagram> run;
    const TestSource* active = &one;
    for (std::uint64_t s = first; s < first + count; ++s) {
      const bool last = s + 1 == first + count;
      const TestSource* before = active;
      if (chance(3)) active = active == &one ? &two : &one;
      if (s == first || epoch_of(s) != epoch_of(s - 1))
        for (const TestSource* source : {&one, &two})
          events.push_back(
              {Event::Kind::epoch, sent(s) - 500ms + jitter(forgery ? 500 : 700), {}, source->record(epoch_of(s))});
      if (!run.empty() && (run.size() == 25 || active != before || epoch_of(s) != epoch_of(s - 1))) {
        attest(*before, run, sent(s - 1), 0);
        run.clear();
      }
      const std::uint8_t flags = last ? wire::kFlagEnd : 0;
      const auto opus = chance(10) ? Datagram{} : payload(Sequence{s}, active->key().id.value);
      const Datagram d = active->seal(epoch_of(s), Sequence{s}, opus, flags);
      run.push_back(d);
      deliver(d, s);
      if (last) attest(*active, run, sent(s), wire::kFlagEnd);
      if (forgery) forge(d, s);
    }
    std::stable_sort(events.begin(), events.end(), [](const Event& a, const Event& b) { return a.time < b.time; });
  }
  void deliver(const Datagram& d, std::uint64_t s) {
    std::vector<Time> arrivals;
    for (int path = 0; path < 2; ++path) {
      if (path == 1 && !chance(40)) continue;
      if (!chance(loss)) arrivals.push_back(sent(s) + kBase + jitter(60));
    }
    for (int round = 0; round < 2; ++round)
      if (chance(50)) arrivals.push_back(sent(s) + kBase + 60ms + jitter(900));  // resent
    for (Time t : arrivals) add_frame(d, t);
    if (!arrivals.empty()) arrived[s] = *std::min_element(arrivals.begin(), arrivals.end());
  }
  void attest(const TestSource& source, const std::vector<Datagram>& run, Time now, std::uint8_t flags) {
    const Datagram d = source.attest(run, flags);
    std::optional<Time> earliest;
    for (int round = 0; round < 3; ++round) {
      if (round < 2 && chance(loss)) continue;
      const Time t = now + kBase + jitter(50) + round * 120ms;
      events.push_back({Event::Kind::attest, t, d, {}});
      if (!earliest || t < *earliest) earliest = t;
    }
    for (const Datagram& f : run) attested[wire::parse_header(f)->sequence.value] = *earliest;
  }
  void forge(const Datagram& d, std::uint64_t s) {
    if (chance(20)) {  // by anybody
      Datagram bad = d;
      bad[random.below(bad.size())] ^= static_cast<std::uint8_t>(1 + random.below(255));
      add_frame(bad, sent(s) + jitter(100));
    }
    if (chance(20))  // by one who holds the group's key, often before the true one
      add_frame(
          one.seal(epoch_of(s), Sequence{s}, payload(Sequence{s}, kForged), static_cast<std::uint8_t>(random.below(4))),
          sent(s) + jitter(150));
    if (chance(5)) {
      const std::uint64_t ahead = s + 1 + (random.u64() >> (20 + random.below(40)));
      if (ahead >> 48 == 0 && ahead >= first + count)  // where nothing true will be
        add_frame(one.seal(epoch_of(s), Sequence{ahead}, payload(Sequence{ahead}, kForged),
                           static_cast<std::uint8_t>(random.below(4))),
                  sent(s) + jitter(100));
    }
    if (chance(10)) {
      Datagram bad = one.attest({one.seal(epoch_of(s), Sequence{s}, payload(Sequence{s}, kForged))});
      bad[random.below(bad.size())] ^= 1;
      events.push_back({Event::Kind::attest, sent(s) + jitter(100), bad, {}});
    }
  }

  /// Plays all of it, the timers on the minute; each tick with the time at which it came out.
  struct Out {
    Heard heard;
    Time when;
  };
  std::vector<Out> play(Playout& playout) {
    std::vector<Out> out;
    auto take = [&](Time now) {
      for (Heard& h : drain(playout)) out.push_back({std::move(h), now});
    };
    auto run_timers = [&](Time until) {
      for (Time t = playout.next_deadline(); t <= until && t != kNever; t = playout.next_deadline()) {
        playout.on_timer(t);
        take(t);
        REQUIRE(playout.next_deadline() > t);
      }
    };
    for (const Event& e : events) {
      run_timers(e.time);
      switch (e.kind) {
        case Event::Kind::frame: playout.on_frame(e.datagram, e.time); break;
        case Event::Kind::attest: playout.on_attest(e.datagram, e.time); break;
        case Event::Kind::epoch:
          playout.on_timer(e.time);
          playout.on_epoch(e.record);
          break;
      }
      take(e.time);
    }
    run_timers(events.back().time + 30s);
    return out;
  }
  receive::PlayoutConfig config() const {
    receive::PlayoutConfig c;
    c.group = kGroup;
    c.frame = frame;
    c.strict = strict;
    c.delay = delay;
    c.sources = {one.key(), two.key()};
    return c;
  }

  SeededRandom random;
  bool strict, forgery;
  TestSource one{SourceId{1}}, two{SourceId{2}};
  std::chrono::milliseconds frame{20}, delay{0};
  std::uint64_t first = 0, count = 0, loss = 0;
  std::vector<Event> events;
  std::map<std::uint64_t, Time> arrived, attested;
};

}  // namespace

TEST_CASE("playout: in any history every tick comes out once, in order, true, in time, and is lost only if too late") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const bool strict = seed % 2 == 0;
    CAPTURE(seed);
    History history{seed, strict, false};
    Playout playout{history.config()};
    playout.start_from(Sequence{history.first});
    const auto out = history.play(playout);
    REQUIRE(out.size() == history.count);
    std::uint64_t lost = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
      const std::uint64_t s = history.first + i;
      const Heard& h = out[i].heard;
      REQUIRE(h.sequence.value == s);
      CHECK_FALSE(h.played.discontinuity);
      CHECK(h.played.end == (i + 1 == out.size()));
      const Time due = history.sent(s) + kBase + history.delay;  // no deadline is earlier
      if (h.kind == PlayedKind::lost) {
        ++lost;
        CHECK(out[i].when >= due);
        // Keys come 200 ms after their first frame at the latest, and 64 frames wait for them.
        const bool in_time = history.arrived.contains(s) && history.arrived[s] < due &&
                             (!strict || history.attested[s] < due) && history.delay > 200ms;
        CHECK_FALSE(in_time);
      } else {
        CHECK((h.kind == PlayedKind::empty) == h.opus.empty());
        if (!h.opus.empty()) CHECK(h.opus == payload(Sequence{s}, h.played.source.value));
        if (strict) CHECK(out[i].when >= history.attested[s]);
      }
    }
    CHECK(playout.ended());
    CHECK(playout.counters().lost.get() == lost);
    CHECK(playout.counters().frames.get() + playout.counters().empty.get() + lost == out.size());
    CHECK(playout.counters().drop_forged.get() == 0);
    CHECK(playout.counters().drop_not_as_attested.get() == 0);
  }
}

TEST_CASE("playout: in strict mode no forgery is ever played, costs a tick, moves the place or ends anything") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    History history{seed, true, true};
    Playout playout{history.config()};
    playout.start_from(Sequence{history.first});
    const auto out = history.play(playout);
    REQUIRE(out.size() == history.count);
    for (std::size_t i = 0; i < out.size(); ++i) {
      const std::uint64_t s = history.first + i;
      const Heard& h = out[i].heard;
      REQUIRE(h.sequence.value == s);
      if (!h.opus.empty()) CHECK(h.opus == payload(Sequence{s}, h.played.source.value));
      CHECK_FALSE(h.played.discontinuity);
      CHECK(h.played.end == (i + 1 == out.size()));
      const Time due = history.sent(s) + kBase + history.delay;
      if (h.kind == PlayedKind::lost)
        CHECK_FALSE((history.arrived.contains(s) && history.arrived[s] < due && history.attested[s] < due));
    }
    CHECK(playout.ended());
  }
}

TEST_CASE("playout: in normal mode forgeries neither end nor move the stream: every true tick has its place") {
  for (std::uint64_t seed = 101; seed <= 140; ++seed) {
    CAPTURE(seed);
    History history{seed, false, true};
    Playout playout{history.config()};
    playout.start_from(Sequence{history.first});
    const auto out = history.play(playout);
    REQUIRE(out.size() >= history.count);
    for (std::size_t i = 0; i < history.count; ++i) {
      REQUIRE(out[i].heard.sequence.value == history.first + i);
      CHECK_FALSE(out[i].heard.played.discontinuity);
      CHECK((out[i].heard.played.end ? i + 1 == history.count : true));
    }
  }
}

TEST_CASE("playout: random and mangled datagrams do no harm") {
  SeededRandom random{3};
  for (const bool strict : {false, true}) {
    const TestSource one{SourceId{1}};
    receive::PlayoutConfig config;
    config.group = kGroup;
    config.strict = strict;
    config.sources = {one.key()};
    Playout playout{config};
    for (std::uint32_t e = 1; e < 4; ++e) playout.on_epoch(one.record(Epoch{e}));
    std::vector<Datagram> seeds;
    std::vector<Datagram> run;
    for (std::uint64_t s = 50; s < 60; ++s) run.push_back(one.seal(Epoch{1}, Sequence{s}, payload(Sequence{s}), 3));
    seeds = run;
    seeds.push_back(one.attest(run, 3));
    Time now = at(0s);
    for (int i = 0; i < 30'000; ++i) {
      Datagram d;
      if (random.below(3) == 0) {
        d.resize(random.below(wire::kMaxDatagram + 40));
        random.fill(d);
        if (!d.empty() && random.below(2) == 0) d[0] = static_cast<std::uint8_t>(0x20 + random.below(4));
      } else {
        d = seeds[random.below(seeds.size())];
        for (std::uint64_t n = random.below(4); n > 0; --n)
          d[random.below(random.below(2) == 0 ? 17 : d.size())] = static_cast<std::uint8_t>(random.u64());
        if (random.below(10) == 0) d.resize(random.below(d.size() + 1));
      }
      if (random.below(2) == 0) playout.on_frame(d, now);
      if (random.below(2) == 0) playout.on_attest(d, now);
      if (random.below(50) == 0) {
        wire::EpochRecord record = one.record(Epoch{static_cast<std::uint32_t>(random.below(10))});
        if (random.below(2) == 0) random.fill(record.value);
        playout.on_epoch(record);
      }
      now += Duration{1ms} * static_cast<int>(random.below(20));
      playout.on_timer(now);
      for (const Heard& h : drain(playout))
        if (!h.opus.empty()) CHECK(h.opus == payload(h.sequence));
      CHECK(playout.next_deadline() > now);
      CHECK(playout.epochs_held().epochs.size() <= wire::kMaxHeldEpochs);
    }
  }
}

}  // namespace tiercast::playout_properties_test
