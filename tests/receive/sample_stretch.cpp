#include "relay/receive/sample_stretch.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

namespace tiercast::sample_stretch_test {

using tiercast::receive::SampleStretch;

namespace {

using Samples = std::vector<std::int16_t>;

double tone(double hertz, double sample) { return 12000 * std::sin(2 * std::numbers::pi * hertz * sample / 48000); }

/// `changes`: of each tick. What came out of a tone, both channels the same but for the sign.
Samples stretched(double hertz, const std::vector<int>& changes, std::size_t samples = 960) {
  SampleStretch stretch{samples, 2};
  Samples out, tick(samples * 2);
  for (std::size_t t = 0; t < changes.size(); ++t) {
    for (std::size_t i = 0; i < samples; ++i) {
      tick[2 * i] = static_cast<std::int16_t>(std::lround(tone(hertz, static_cast<double>(t * samples + i))));
      tick[2 * i + 1] = static_cast<std::int16_t>(-tick[2 * i]);
    }
    const auto made = stretch.apply(tick, changes[t]);
    out.insert(out.end(), made.begin(), made.end());
  }
  const auto rest = stretch.rest();
  out.insert(out.end(), rest.begin(), rest.end());
  return out;
}

}  // namespace

TEST_CASE("sample stretch: what is to stay as it is comes out bit for bit") {
  const Samples out = stretched(1000, std::vector<int>(10, 0));
  REQUIRE(out.size() == 10 * 960 * 2);
  for (std::size_t i = 0; i < 9600; ++i) {
    REQUIRE(out[2 * i] == std::lround(tone(1000, static_cast<double>(i))));
    REQUIRE(out[2 * i + 1] == -out[2 * i]);
  }
}

TEST_CASE("sample stretch: a tick made shorter or longer is the same sound at another speed, without a seam") {
  for (const double hertz : {100.0, 1000.0, 5000.0, 12000.0})
    for (const int change : {1, -1, 4, -4}) {
      CAPTURE(hertz);
      CAPTURE(change);
      const Samples out = stretched(hertz, {0, 0, change, 0, 0});
      REQUIRE(out.size() == static_cast<std::size_t>(5 * 960 - change) * 2);
      // The lag: tick 2's place begins kHalf samples before it.
      const double from = 2 * 960 - SampleStretch::kHalf, made = 960 - change;
      double error = 0;
      for (std::size_t i = 0; i < out.size() / 2; ++i) {
        const double at = static_cast<double>(i);
        const double in = at < from ? at : at < from + made ? from + (at - from) * 960 / made : at + change;
        error = std::max(error, std::abs(out[2 * i] - tone(hertz, in)));
        REQUIRE(out[2 * i + 1] == -out[2 * i]);
      }
      CHECK(error < 12000 * 0.002);  // -54 dB, at the worst sample
    }
}

TEST_CASE("sample stretch: many changed ticks in a row, the shortest frames too") {
  const Samples out = stretched(440, std::vector<int>(50, 2), 480);
  CHECK(out.size() == 50 * 478 * 2);
  int crossings = 0;
  for (std::size_t i = 0; i + 3 < out.size(); i += 2)
    if ((out[i] < 0) != (out[i + 2] < 0)) ++crossings;
  CHECK(std::abs(crossings - 440) <= 2);
}

}  // namespace tiercast::sample_stretch_test
