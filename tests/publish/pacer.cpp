#include "relay/publish/pacer.hpp"

#include <doctest/doctest.h>

#include <initializer_list>

#include "tests/support/seeded_random.hpp"

namespace tiercast::pacer_test {

using namespace tiercast::publish;
using namespace tiercast::test;

namespace {
const Time kStart = Time{} + 1000s;
}

TEST_CASE("a file's packets leave in real time, exactly, however early they are there") {
  Pacer pacer{20ms, Pacer::Source::file};
  SeededRandom random;
  Time now = kStart;
  for (int n = 0; n < 200'000; ++n) {  // more than an hour
    const Time at = pacer.leaves(now, 0);
    CHECK(at == kStart + n * 20ms);
    now = at + Duration{static_cast<std::int64_t>(random.below(19'000'000))};  // read, encoded, and woken late
  }
}

TEST_CASE("silence between packets takes its time") {
  Pacer pacer{20ms, Pacer::Source::file};
  CHECK(pacer.leaves(kStart, 5) == kStart + 100ms);
  CHECK(pacer.leaves(kStart + 100ms, 0) == kStart + 120ms);
  CHECK(pacer.leaves(kStart + 120ms, 50) == kStart + 1140ms);
}

TEST_CASE("what comes late leaves at once, and what follows counts from there") {
  for (const auto source : {Pacer::Source::file, Pacer::Source::pipe}) {
    Pacer pacer{20ms, source};
    CHECK(pacer.leaves(kStart, 0) == kStart);
    CHECK(pacer.leaves(kStart + 2s, 0) == kStart + 2s);  // no burst after the stall
    CHECK(pacer.leaves(kStart + 2s, 0) == kStart + 2020ms);
    CHECK(pacer.leaves(kStart + 2021ms, 0) >= kStart + 2039ms);
  }
}

TEST_CASE("a slow writer's packets leave as they come") {
  Pacer pacer{20ms, Pacer::Source::pipe};
  for (int n = 0; n < 10'000; ++n) {
    const Time comes = kStart + n * 20'003us;  // 150 ppm slow
    REQUIRE(pacer.leaves(comes, 0) == comes);
  }
}

TEST_CASE("a fast writer's pipe does not fill up, and is not left faster than by 200 ppm") {
  for (const Duration interval : {19'998us, 19'996us}) {  // 100 and 200 ppm fast
    Pacer pacer{20ms, Pacer::Source::pipe};
    Time before{};
    Duration most{};
    for (int n = 0; n < 500'000; ++n) {
      const Time comes = kStart + n * interval;
      const Time at = pacer.leaves(comes, 0);
      if (n > 0) REQUIRE(at - before >= 20ms - 4us);
      before = at;
      most = std::max(most, at - comes);
    }
    CHECK(most < 1ms);
  }
}

TEST_CASE("a writer's bursts are smoothed, at the price of their length") {
  Pacer pacer{20ms, Pacer::Source::pipe};
  Time before{};
  for (int n = 0; n < 5'000; ++n) {
    const Time comes = kStart + n / 6 * 120ms;  // six at once
    const Time at = pacer.leaves(comes, 0);
    if (n > 0) REQUIRE(at - before >= 20ms - 4us);
    CHECK(at - comes <= 120ms);
    before = at;
  }
}

TEST_CASE("a pipe that is full from the beginning is left 200 ppm fast, a file is not") {
  Pacer pacer{20ms, Pacer::Source::pipe};
  Time at = kStart;
  for (int n = 0; n <= 5000; ++n) at = pacer.leaves(kStart, 0);
  CHECK(at >= kStart + 5000 * (20ms - 4us));
  CHECK(at <= kStart + 5000 * (20ms - 4us) + 4us);
}

}  // namespace tiercast::pacer_test
