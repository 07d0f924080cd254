#include "relay/receive/wav_writer.hpp"

#include <doctest/doctest.h>

#include <string>

namespace tiercast::wav_writer_test {

using receive::make_wav_header;
using receive::WavHeader;

namespace {

std::uint32_t number(const WavHeader& header, std::size_t at, int bytes) {
  std::uint32_t out = 0;
  for (int i = bytes; i-- > 0;) out = out << 8 | header[at + static_cast<std::size_t>(i)];
  return out;
}

std::string text(const WavHeader& header, std::size_t at) { return {header.begin() + at, header.begin() + at + 4}; }

}  // namespace

TEST_CASE("wav: the header says what follows") {
  for (const int channels : {1, 2}) {
    const WavHeader header = make_wav_header(channels, 19200);
    const auto width = static_cast<std::uint32_t>(2 * channels);
    CHECK(text(header, 0) == "RIFF");
    CHECK(number(header, 4, 4) == 19200 + 36);
    CHECK(text(header, 8) == "WAVE");
    CHECK(text(header, 12) == "fmt ");
    CHECK(number(header, 16, 4) == 16);
    CHECK(number(header, 20, 2) == 1);
    CHECK(number(header, 22, 2) == static_cast<std::uint32_t>(channels));
    CHECK(number(header, 24, 4) == 48000);
    CHECK(number(header, 28, 4) == 48000 * width);
    CHECK(number(header, 32, 2) == width);
    CHECK(number(header, 34, 2) == 16);
    CHECK(text(header, 36) == "data");
    CHECK(number(header, 40, 4) == 19200);
  }
}

TEST_CASE("wav: a length that is not known, or that 32 bits cannot say, is told as until the end") {
  const auto sizes = [](std::optional<std::uint64_t> data) {
    const WavHeader header = make_wav_header(1, data);
    return std::pair{number(header, 4, 4), number(header, 40, 4)};
  };
  constexpr std::uint32_t kAll = 0xffffffff;
  CHECK(sizes(std::nullopt) == std::pair{kAll, kAll});
  CHECK(sizes(0) == std::pair{36u, 0u});
  CHECK(sizes(kAll - 37) == std::pair{kAll - 1, kAll - 37});
  CHECK(sizes(kAll - 36) == std::pair{kAll, kAll});
  CHECK(sizes(kAll) == std::pair{kAll, kAll});
  CHECK(sizes(kAll + 1ull) == std::pair{kAll, kAll});
  CHECK(sizes((1ull << 40) + 2) == std::pair{kAll, kAll});
}

TEST_CASE("wav: samples are little-endian") {
  const std::int16_t samples[] = {0, 1, -1, 0x1234, -32768, 32767};
  std::vector<std::uint8_t> buffer(99, 7);
  const Bytes bytes = receive::to_s16le(samples, buffer);
  CHECK(std::vector<std::uint8_t>(bytes.begin(), bytes.end()) ==
        std::vector<std::uint8_t>{0, 0, 1, 0, 0xff, 0xff, 0x34, 0x12, 0, 0x80, 0xff, 0x7f});
}

}  // namespace tiercast::wav_writer_test
