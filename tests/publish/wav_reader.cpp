#include "relay/publish/wav_reader.hpp"

#include <doctest/doctest.h>

#include "tests/publish/wav_file.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::wav_reader_test {

using namespace tiercast::publish;
using namespace tiercast::test;

namespace {

struct Read {
  std::vector<std::uint8_t> samples;
  std::optional<PcmFormat> format;
  std::string problem;
  std::string notice;
};

/// The whole of it in pieces of `piece` bytes.
Read read(const WavFile& file, std::size_t piece = 1 << 20) {
  WavReader reader;
  Read out;
  for (std::size_t at = 0; at < file.bytes.size(); at += piece) {
    Bytes rest = Bytes{file.bytes}.subspan(at, std::min(piece, file.bytes.size() - at));
    while (!rest.empty() && reader.problem().empty()) {
      const std::size_t before = rest.size();
      const Bytes samples = reader.take(rest);
      REQUIRE((rest.size() < before || !reader.problem().empty()));
      if (!samples.empty()) REQUIRE(reader.format());
      out.samples.insert(out.samples.end(), samples.begin(), samples.end());
    }
  }
  reader.finish();
  out.format = reader.format();
  out.problem = reader.problem();
  out.notice = reader.take_notice().value_or("");
  CHECK_FALSE(reader.take_notice());
  CHECK(reader.has_audio() == !out.samples.empty());
  return out;
}

}  // namespace

TEST_CASE("a WAV file's format and samples are the same in pieces of any size") {
  const auto samples = sample_bytes(1001);  // an odd number, so padding follows
  const WavFile file = WavFile{}
                           .form()
                           .chunk("LIST", 27)
                           .format(1, 2, 44100, 16, 17)
                           .text(std::string_view{"\0\0", 2})  // its 17th byte, and padding
                           .chunk("fact", 4)
                           .data(samples)
                           .chunk("id3 ", 31);
  for (const std::size_t piece : {1, 2, 3, 7, 8, 64, 4096}) {
    CAPTURE(piece);
    const Read got = read(file, piece);
    CHECK(got.problem == "");
    CHECK(got.notice == "");
    CHECK(got.samples == samples);
    REQUIRE(got.format);
    CHECK(*got.format == PcmFormat{SampleFormat::s16le, 44100, 2});
  }
}

TEST_CASE("each sample format is recognised, plain and extensible") {
  const struct {
    unsigned tag, bits;
    SampleFormat format;
  } cases[] = {{1, 16, SampleFormat::s16le},
               {1, 24, SampleFormat::s24le},
               {1, 32, SampleFormat::s32le},
               {3, 32, SampleFormat::f32le}};
  for (const auto& one : cases) {
    CAPTURE(one.bits);
    const auto samples = sample_bytes(24);
    for (const unsigned channels : {1U, 2U}) {
      const PcmFormat expected{one.format, 8000, static_cast<std::uint8_t>(channels)};
      const Read plain = read(WavFile{}.form().format(one.tag, channels, 8000, one.bits).data(samples));
      CHECK(plain.problem == "");
      CHECK(plain.format == expected);
      CHECK(plain.samples == samples);
      const Read extensible =
          read(WavFile{}.form().extensible(one.tag, channels, 8000, one.bits, one.bits - 4).data(samples), 5);
      CHECK(extensible.problem == "");
      CHECK(extensible.format == expected);
      CHECK(extensible.samples == samples);
    }
  }
}

TEST_CASE("what a pipe's writer could not know lasts until the end, and is not cut short") {
  const auto samples = sample_bytes(500);
  for (const std::uint32_t size : {0U, 0xffffffffU, 0x7ffff000U, 0x80000000U, 0x7fffff00U}) {
    CAPTURE(size);
    const Read got = read(WavFile{}.form().format(1, 1, 48000, 16).data(samples, size), 11);
    CHECK(got.problem == "");
    CHECK(got.notice == "");
    CHECK(got.samples == samples);
  }
}

TEST_CASE("a file that is cut short is read as far as it goes, and says so") {
  const Read got = read(WavFile{}.form().format(1, 1, 48000, 16).data(sample_bytes(500), 1000));
  CHECK(got.problem == "");
  CHECK(got.samples == sample_bytes(500));
  CHECK(got.notice == "cut short: it says 1000 bytes of samples, and 500 of them are there");
}

TEST_CASE("RF64 says its true length in another place") {
  const auto samples = sample_bytes(64);
  WavFile file;
  file.form("RF64").text("ds64").number(28, 4).number(0, 8).number(64, 8).number(0, 8).number(0, 4);
  file.format(1, 1, 48000, 16).data(samples, 0xffffffff).chunk("LIST", 40);
  for (const std::size_t piece : {1, 1000}) {
    const Read got = read(file, piece);
    CHECK(got.problem == "");
    CHECK(got.samples == samples);
    CHECK(got.notice == "");
  }
}

TEST_CASE("another WAV of the same format behind the first goes on, one of another does not") {
  WavFile file = WavFile{}.form().format(1, 1, 48000, 16).data(sample_bytes(40, 1));
  const WavFile same = WavFile{}.form().format(1, 1, 48000, 16).data(sample_bytes(60, 2), 0xffffffff);
  const WavFile other = WavFile{}.form().format(1, 2, 48000, 16).data(sample_bytes(60));
  auto expected = sample_bytes(40, 1);
  const auto more = sample_bytes(60, 2);
  expected.insert(expected.end(), more.begin(), more.end());
  WavFile both = file;
  both.bytes.insert(both.bytes.end(), same.bytes.begin(), same.bytes.end());
  for (const std::size_t piece : {1, 1000}) CHECK(read(both, piece).samples == expected);
  file.bytes.insert(file.bytes.end(), other.bytes.begin(), other.bytes.end());
  const Read got = read(file);
  CHECK(got.samples == sample_bytes(40, 1));
  CHECK(got.problem == "it goes on in another sample format");
}

TEST_CASE("what is no WAV file, or none that can be played, is told as what it is") {
  const auto problem = [](const WavFile& file) { return read(file).problem; };
  const auto with_format = [&](unsigned tag, unsigned channels, std::uint32_t rate, unsigned bits) {
    return problem(WavFile{}.form().format(tag, channels, rate, bits).data(sample_bytes(64)));
  };
  CHECK(problem(WavFile{}) == "empty");
  CHECK(problem(WavFile{}.text("RIFF")) == "not a WAV file, or cut short before its samples");
  CHECK(problem(WavFile{}.form().format(1, 1, 48000, 16)) == "not a WAV file, or cut short before its samples");
  CHECK(problem(WavFile{}.form().format(1, 1, 48000, 16).data({}, 0)) == "it has no samples in it");
  CHECK(problem(WavFile{}.text("hello, hello, hello")) == "not a WAV file");
  CHECK(problem(WavFile{}.text("OggSxxxxxxxxxxxxx")).find("use ogg =") != std::string::npos);
  CHECK(problem(WavFile{}.form("RIFX")) == "not a WAV file: it is big-endian (RIFX)");
  CHECK(problem(WavFile{}.text("RIFF").number(9, 4).text("AVI LIST")) == "not a WAV file, but RIFF of another kind");
  CHECK(problem(WavFile{}.form().data(sample_bytes(8))) == "not a WAV file: its samples come before their format");
  CHECK(problem(WavFile{}.form().chunk("fmt ", 14)).find("its format has 14 bytes") != std::string::npos);
  CHECK(with_format(7, 1, 8000, 8).find("its samples are mu-law; ") == 0);
  CHECK(with_format(0x1234, 1, 8000, 16).find("its samples are format 0x1234; ") == 0);
  CHECK(with_format(1, 1, 8000, 8).find("its samples have 8 bits; ") == 0);
  CHECK(with_format(3, 1, 8000, 64).find("its samples have 64 bits (float); ") == 0);
  CHECK(with_format(1, 6, 48000, 16).find("it has 6 channels; ") == 0);
  CHECK(with_format(1, 0, 48000, 16).find("it has 0 channels; ") == 0);
  CHECK(with_format(1, 1, 7999, 16) == "its sample rate is 7999 Hz; 8000 to 192000 are taken");
  CHECK(with_format(1, 1, 192001, 16) == "its sample rate is 192001 Hz; 8000 to 192000 are taken");
  CHECK(with_format(1, 1, 192000, 16) == "");
  WavFile wide = WavFile{}.form().format(1, 1, 48000, 24).data(sample_bytes(8));
  wide.bytes[12 + 8 + 12] = 4;  // the block
  CHECK(problem(wide) == "not a WAV file: 1 channels of 24 bits in 4 bytes");
}

TEST_CASE("a WAV file cut off at any byte, or with any byte changed, breaks nothing") {
  const WavFile whole = WavFile{}
                            .form("RF64")
                            .text("ds64")
                            .number(16, 4)
                            .number(0, 8)
                            .number(50, 8)
                            .chunk("LIST", 9)
                            .extensible(1, 2, 48000, 16, 16)
                            .data(sample_bytes(50), 0xffffffff)
                            .chunk("LIST", 9);
  SeededRandom random{7};
  for (std::size_t cut = 0; cut <= whole.bytes.size(); ++cut) {
    WavFile file = whole;
    file.bytes.resize(cut);
    const Read got = read(file, 1 + random.below(20));
    CHECK(got.samples.size() <= 50);
    CHECK((!got.problem.empty() || !got.samples.empty()));
  }
  for (int i = 0; i < 20000; ++i) {
    WavFile file = whole;
    for (std::uint64_t n = 1 + random.below(4); n > 0; --n)
      file.bytes[random.below(file.bytes.size())] = static_cast<std::uint8_t>(random.u64());
    const Read got = read(file, 1 + random.below(40));
    CHECK(got.samples.size() <= file.bytes.size());
  }
}

}  // namespace tiercast::wav_reader_test
