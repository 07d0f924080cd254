#include "relay/publish/media_reader.hpp"

#include <doctest/doctest.h>

#include "relay/publish/opus_packet.hpp"
#include "tests/publish/ogg_file.hpp"
#include "tests/publish/pieces.hpp"
#include "tests/publish/wav_file.hpp"

namespace tiercast::media_reader_test {

using namespace tiercast::publish;
using namespace tiercast::test;

namespace {

struct Got {
  std::size_t packets = 0;
  std::string problem;
  std::string notice;
  std::optional<PcmFormat> format;
};

Got read(const MediaReader::Setup& setup, const std::vector<std::uint8_t>& bytes, std::size_t piece) {
  MediaReader reader{setup};
  Got got;
  const auto drain = [&] {
    while (const auto packet = reader.next()) {
      REQUIRE(parse_opus(packet->opus)->samples == std::uint32_t{setup.frame_ms} * 48);
      ++got.packets;
    }
  };
  feed_in_pieces(reader, bytes, piece, drain);
  got.problem = reader.problem();
  got.notice = reader.take_notice().value_or("");
  got.format = reader.format();
  return got;
}

}  // namespace

TEST_CASE("a second of anything is a second of packets, and one for what the encoder holds back") {
  const auto wav =
      WavFile{}.form().chunk("LIST", 100).format(1, 2, 8000, 16).data(sample_bytes(8000 * 4), 0xffffffff).bytes;
  OggFile ogg;
  OggFile::Stream stream{ogg, 1};
  stream.headers();
  for (std::uint32_t n = 0; n < 50; ++n) stream.add(opus_of(20, n), (n + 1) * 960, n == 49);
  stream.page();
  MediaReader::Setup pcm{MediaKind::pcm, 20, {SampleFormat::s24le, 16000, 1}, {}};
  for (const std::size_t piece : {std::size_t{1}, std::size_t{1000}, MediaReader::kMaxFeed}) {
    CAPTURE(piece);
    Got got = read({MediaKind::wav, 20, {}, {}}, wav, piece);
    CHECK(got.packets == 51);
    CHECK(got.problem == "");
    CHECK(got.format == PcmFormat{SampleFormat::s16le, 8000, 2});
    got = read(pcm, sample_bytes(16000 * 3), piece);
    CHECK(got.packets == 51);
    CHECK(got.format == pcm.pcm);
    got = read({MediaKind::ogg, 20, {}, {}}, ogg.bytes, piece);
    CHECK(got.packets == 50);
    CHECK_FALSE(got.format);
  }
}

TEST_CASE("nothing at all is a problem, whatever it should have been") {
  for (const auto kind : {MediaKind::wav, MediaKind::pcm, MediaKind::ogg}) {
    CHECK(read({kind, 20, {}, {}}, {}, 1).problem == "empty");
    CHECK(read({kind, 20, {}, {}}, {}, 1).packets == 0);
  }
}

TEST_CASE("what is wrong in the middle leaves what came before it, and notices come through") {
  WavFile file = WavFile{}.form().format(1, 1, 48000, 16).data(sample_bytes(48000));
  const WavFile other = WavFile{}.form().format(1, 2, 48000, 16).data(sample_bytes(60));
  file.bytes.insert(file.bytes.end(), other.bytes.begin(), other.bytes.end());
  Got got = read({MediaKind::wav, 20, {}, {}}, file.bytes, 500);
  CHECK(got.packets >= 25);
  CHECK(got.problem == "it goes on in another sample format");
  got = read({MediaKind::wav, 20, {}, {}}, WavFile{}.form().format(1, 1, 48000, 16).data(sample_bytes(500), 900).bytes,
             99);
  CHECK(got.packets == 1);
  CHECK(got.notice.find("cut short: ") == 0);
}

}  // namespace tiercast::media_reader_test
