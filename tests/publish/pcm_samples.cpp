#include "relay/publish/pcm_samples.hpp"

#include <doctest/doctest.h>

#include <array>
#include <bit>
#include <limits>
#include <vector>

namespace tiercast::pcm_samples_test {

using namespace tiercast::publish;

namespace {

std::vector<float> converted(SampleFormat format, std::initializer_list<int> bytes) {
  const std::vector<std::uint8_t> in(bytes.begin(), bytes.end());
  std::vector<float> out(in.size() / bytes_of(format));
  to_float(in, format, out);
  return out;
}

}  // namespace

TEST_CASE("samples of every format are numbers from -1 to 1") {
  CHECK(converted(SampleFormat::s16le, {0, 0, 0xff, 0x7f, 0, 0x80, 0, 0x40}) ==
        std::vector<float>{0, 32767.0F / 32768, -1, 0.5F});
  CHECK(converted(SampleFormat::s24le, {1, 0, 0, 0xff, 0xff, 0xff, 0, 0, 0x80, 0, 0, 0x40}) ==
        std::vector<float>{0x1.0p-23F, -0x1.0p-23F, -1, 0.5F});
  CHECK(converted(SampleFormat::s32le, {0, 0, 0, 0x80, 0, 0, 0, 0x40, 0, 1, 0, 0}) ==
        std::vector<float>{-1, 0.5F, 0x1.0p-23F});
  CHECK(converted(SampleFormat::f32le, {0, 0, 0, 0x3f, 0, 0, 0x80, 0xbf}) == std::vector<float>{0.5F, -1});
}

TEST_CASE("floats beyond full scale are clipped, and what is no number is silence") {
  for (const auto& [in, expected] : {std::pair{2.0F, 1.0F},
                                     {-1e30F, -1.0F},
                                     {std::numeric_limits<float>::infinity(), 1.0F},
                                     {-std::numeric_limits<float>::infinity(), -1.0F},
                                     {std::numeric_limits<float>::quiet_NaN(), 0.0F}}) {
    const auto bytes = std::bit_cast<std::array<std::uint8_t, 4>>(in);
    CHECK(converted(SampleFormat::f32le, {bytes[0], bytes[1], bytes[2], bytes[3]}) == std::vector<float>{expected});
  }
}

}  // namespace tiercast::pcm_samples_test
