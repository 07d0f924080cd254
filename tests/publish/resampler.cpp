#include "relay/publish/resampler.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/publish/tone.hpp"
#include "tests/support/counting_allocator.hpp"

namespace tiercast::resampler_test {

using namespace tiercast::publish;
using namespace tiercast::test;

namespace {

std::vector<float> resampled(const std::vector<float>& in, std::uint32_t rate, std::uint8_t channels,
                             std::size_t piece) {
  Resampler resampler{rate, channels};
  std::vector<float> out;
  for (std::size_t at = 0; at < in.size(); at += piece * channels) {
    const std::size_t size = std::min(piece * channels, in.size() - at);
    const std::size_t before = out.size();
    resampler.push(std::span{in}.subspan(at, size), out);
    REQUIRE(out.size() - before <= resampler.most(size));
  }
  resampler.finish(out);
  return out;
}

}  // namespace

TEST_CASE("what is resampled is as long as it was, to the sample") {
  for (const std::uint32_t rate : {8000U, 11025U, 16000U, 22050U, 32000U, 44100U, 44101U, 48000U, 96000U, 192000U})
    for (const std::size_t samples : {std::size_t{1}, std::size_t{7}, std::size_t{1000}, std::size_t{rate}})
      for (const std::size_t piece : {std::size_t{100}, std::size_t{4096}}) {
        CAPTURE(rate);
        CAPTURE(samples);
        const auto out = resampled(tone({440}, rate, samples), rate, 1, piece);
        CHECK(out.size() == (std::uint64_t{samples} * 48000 + rate - 1) / rate);
      }
}

TEST_CASE("a tone keeps its frequency, its strength and its channel") {
  for (const std::uint32_t rate : {8000U, 16000U, 44100U, 44101U, 48000U, 96000U}) {
    CAPTURE(rate);
    const auto out = resampled(tone({1000, 2500}, rate, rate), rate, 2, 777);
    REQUIRE(out.size() == 96000);
    const std::span middle = std::span{out}.subspan(2 * 4800, 2 * 38400);  // its ends are not whole periods
    CHECK(std::abs(strength(middle, 0, 2, 1000, 48000) - 0.5) < 0.005);
    CHECK(std::abs(strength(middle, 1, 2, 2500, 48000) - 0.5) < 0.005);
    CHECK(strength(middle, 0, 2, 2500, 48000) < 0.005);
    CHECK(strength(middle, 1, 2, 1000, 48000) < 0.005);
  }
}

TEST_CASE("what 48 kHz cannot hold does not come back as another tone") {
  const auto out = resampled(tone({30000}, 96000, 96000), 96000, 1, 1000);
  const std::span middle = std::span{out}.subspan(4800, 38400);
  CHECK(std::ranges::all_of(middle, [](float sample) { return std::abs(sample) < 0.002F; }));
}

TEST_CASE("pushing allocates nothing") {
  Resampler resampler{44100, 2};
  const auto in = tone({300, 400}, 44100, 2048);
  std::vector<float> out;
  out.reserve(resampler.most(in.size()));
  const AllocationCount allocations;
  for (int i = 0; i < 20; ++i) {
    out.clear();
    resampler.push(in, out);
  }
  const auto count = allocations.count();
  CHECK(count == 0);
}

}  // namespace tiercast::resampler_test
