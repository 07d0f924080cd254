#include "relay/publish/ogg_opus_reader.hpp"

#include <doctest/doctest.h>

#include <map>

#include "relay/publish/opus_packet.hpp"
#include "relay/receive/ogg_opus.hpp"
#include "relay/wire/limits.hpp"
#include "tests/publish/ogg_file.hpp"
#include "tests/publish/pieces.hpp"
#include "tests/receive/opus_tone.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::ogg_opus_reader_test {

using namespace tiercast::publish;
using namespace tiercast::test;

namespace {

constexpr std::uint8_t kFrameLengths[] = {10, 20, 40, 60};

struct Got {
  std::vector<OggPacket> packets;
  std::vector<std::uint64_t> silence;  // before each
  std::string problem;
  std::vector<std::string> notices;
  std::map<std::string, std::uint64_t> counters;
};

Got read(const std::vector<std::uint8_t>& bytes, std::uint8_t frame_ms = 20, std::size_t piece = 4096) {
  OggOpusReader reader{frame_ms};
  Got got;
  const auto drain = [&] {
    while (const auto packet = reader.next()) {
      got.packets.emplace_back(packet->opus.begin(), packet->opus.end());
      got.silence.push_back(packet->silence);
    }
  };
  feed_in_pieces(reader, bytes, piece, drain);
  got.problem = reader.problem();
  while (const auto notice = reader.take_notice()) got.notices.push_back(*notice);
  reader.counters().each([&](const char* name, const Counter& counter) { got.counters[name] = counter.get(); });
  CHECK(reader.has_audio() == !got.packets.empty());
  return got;
}

std::vector<OggPacket> numbered(std::uint32_t from, std::uint32_t count, double ms = 20) {
  std::vector<OggPacket> out;
  for (std::uint32_t n = from; n < from + count; ++n) out.push_back(opus_of(ms, n, 8 + n % 600));
  return out;
}

/// In pages of three, the last one marked unless told otherwise.
void write(OggFile::Stream& stream, const std::vector<OggPacket>& packets, bool end = true) {
  std::int64_t granule = 0;
  for (std::size_t i = 0; i < packets.size(); ++i) {
    const bool last = i + 1 == packets.size();
    granule += parse_opus(packets[i]) ? parse_opus(packets[i])->samples : 960;
    stream.add(packets[i], granule, end && last);
    if (last || i % 3 == 2) stream.page();
  }
}

OggFile simple(const std::vector<OggPacket>& packets, bool end = true) {
  OggFile file;
  OggFile::Stream stream{file, 7};
  write(stream.headers(), packets, end);
  return file;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("packets come out as they went in, in pieces of any size, for every frame length") {
  for (const std::uint8_t frame_ms : kFrameLengths) {
    const auto packets = numbered(0, 50, frame_ms);
    const OggFile file = simple(packets);
    for (const std::size_t piece : {1, 27, 1000, 100'000}) {
      CAPTURE(piece);
      const Got got = read(file.bytes, frame_ms, piece);
      CHECK(got.problem == "");
      CHECK(got.notices == Texts{});
      CHECK(got.packets == packets);
      CHECK(got.silence == std::vector<std::uint64_t>(50, 0));
    }
  }
}

TEST_CASE("headers of many pages and packets across pages are no obstacle") {
  OggFile file;
  OggFile::Stream stream{file, 7};
  stream.headers(opus_head(2), opus_tags(200'000));  // with a picture in it
  std::vector<OggPacket> packets;
  for (std::uint32_t n = 0; n < 200; ++n) packets.push_back(opus_of(20, n, wire::kMaxOpus));
  // 200 × 5 segments do not end at the ends of pages of 255.
  for (std::size_t i = 0; i < packets.size(); ++i)
    stream.add(packets[i], static_cast<std::int64_t>(i + 1) * 960, i + 1 == packets.size());
  stream.page();
  const Got got = read(file.bytes);
  CHECK(got.problem == "");
  CHECK(got.packets == packets);
}

TEST_CASE("what no player plays is left out: within the pre-skip, and behind the end") {
  OggFile file;
  OggFile::Stream stream{file, 7};
  stream.headers(opus_head(1, 2500));  // two packets and a part of the third
  const auto packets = numbered(0, 10);
  for (std::size_t i = 0; i < 8; ++i) stream.add(packets[i], static_cast<std::int64_t>(i + 1) * 960);
  stream.page();
  stream.add(packets[8], 0).add(packets[9], 8 * 960 + 500, true).page();  // the ninth in part, the tenth not at all
  const Got got = read(file.bytes);
  CHECK(got.problem == "");
  CHECK(got.notices == Texts{});
  CHECK(got.packets == std::vector<OggPacket>(packets.begin() + 2, packets.begin() + 9));
  CHECK(got.counters.at("ogg_in_skipped") == 3);
}

TEST_CASE("a first packet of another length is the end of it, and the message has both lengths") {
  const Got got = read(simple(numbered(0, 5, 60)).bytes, 20);
  CHECK(got.packets.empty());
  CHECK(got.problem ==
        "it has packets of 60 ms, but the group has frame_ms = 20: encode it with that (opusenc --framesize 20, ffmpeg "
        "-frame_duration 20), or use the group's");
  CHECK(read(simple(numbered(0, 5, 2.5)).bytes, 20).problem.find("packets of 2.5 ms, ") != std::string::npos);
}

TEST_CASE("later packets of another length are silence of theirs, told once") {
  auto packets = numbered(0, 9);
  packets[3] = opus_of(60, 3);
  packets[4] = opus_of(10, 4);
  packets[5] = opus_of(10, 5);
  const Got got = read(simple(packets).bytes);
  CHECK(got.problem == "");
  CHECK(got.packets.size() == 6);
  CHECK(got.silence == std::vector<std::uint64_t>{0, 0, 0, 4, 0, 0});
  REQUIRE(got.notices.size() == 1);
  CHECK(got.notices[0].find("it has packets of 60 ms, but the group has frame_ms = 20") == 0);
  CHECK(got.counters.at("ogg_in_drop_refused") == 3);
}

TEST_CASE("what is no Opus packet, or too long for a frame, is refused") {
  auto packets = numbered(0, 3);
  packets[1] = {0x03};  // code 3 without its count
  Got got = read(simple(packets).bytes);
  CHECK(got.packets.size() == 2);
  CHECK(got.silence == std::vector<std::uint64_t>{0, 1});
  CHECK(got.notices == Texts{"a packet in it is not Opus"});
  packets[1] = opus_of(20, 1, wire::kMaxOpus + 1);
  got = read(simple(packets).bytes);
  CHECK(got.packets.size() == 2);
  CHECK(got.notices == Texts{"a packet of 1081 bytes is longer than 1080: encode it with a lower bitrate"});
  packets[1] = opus_of(20, 1, wire::kMaxOpus);
  CHECK(read(simple(packets).bytes).packets.size() == 3);
}

TEST_CASE("chained streams follow each other") {
  OggFile file;
  const auto first = numbered(0, 7);
  const auto second = numbered(100, 4);
  const auto third = numbered(200, 5);
  OggFile::Stream a{file, 1};
  OggFile::Stream b{file, 2};
  OggFile::Stream c{file, 3};
  write(a.headers(), first);
  write(b.headers(opus_head(2)), second, false);  // without its end
  write(c.headers(), third);
  auto all = first;
  all.insert(all.end(), second.begin(), second.end());
  all.insert(all.end(), third.begin(), third.end());
  for (const std::size_t piece : {1, 5000}) {
    const Got got = read(file.bytes, 20, piece);
    CHECK(got.problem == "");
    CHECK(got.packets == all);
    CHECK(got.notices == Texts{"a stream in it is cut short: it has no mark of its end"});
  }
}

TEST_CASE("other streams between its pages are not looked at") {
  OggFile file;
  OggFile::Stream video{file, 1};
  OggFile::Stream audio{file, 2};
  const auto packets = numbered(0, 9);
  video.add({0x80, 't', 'h', 'e', 'o', 'r', 'a'}, 0).page();
  audio.add(opus_head(), 0).page();
  video.add(OggPacket(300, 1), 0).page();
  audio.add(opus_tags(), 0).page();
  for (std::size_t i = 0; i < packets.size(); ++i) {
    video.add(OggPacket(3000, 2), static_cast<std::int64_t>(i)).page();
    audio.add(packets[i], static_cast<std::int64_t>(i + 1) * 960, i == 8).page();
  }
  const Got got = read(file.bytes);
  CHECK(got.problem == "");
  CHECK(got.notices == Texts{});
  CHECK(got.packets == packets);
}

TEST_CASE("a file that is cut short at any byte is played as far as it goes, and says so once") {
  const auto packets = numbered(0, 12);
  const OggFile file = simple(packets);
  std::size_t most = 0;
  for (std::size_t cut = 0; cut < file.bytes.size(); ++cut) {
    const Got got = read({file.bytes.begin(), file.bytes.begin() + static_cast<std::ptrdiff_t>(cut)});
    REQUIRE(std::equal(got.packets.begin(), got.packets.end(), packets.begin()));
    most = std::max(most, got.packets.size());
    if (got.packets.empty()) {
      CHECK(got.problem != "");
    } else {
      CHECK(got.problem == "");
      CHECK(got.notices == Texts{"cut short: it has no mark of its end"});
    }
  }
  CHECK(most == 9);
}

TEST_CASE("damage costs the packets of its page, and is told once") {
  const auto packets = numbered(0, 30);
  const OggFile whole = simple(packets);
  OggFile file = whole;
  file.bytes[file.last_page - 5] ^= 1;  // in the last but one page
  const Got got = read(file.bytes);
  CHECK(got.problem == "");
  CHECK(got.notices == Texts{"parts of it are damaged or missing"});
  CHECK(got.packets.size() == 27);
  CHECK(got.packets.back() == packets.back());
  CHECK(got.counters.at("ogg_in_drop_damaged") > 0);
}

TEST_CASE("what is not Ogg Opus is told as what it is") {
  const auto problem = [](const OggFile& file) { return read(file.bytes).problem; };
  CHECK(problem({}) == "empty");
  CHECK(read({'R', 'I', 'F', 'F'}).problem == "not an Ogg file");
  CHECK(read(std::vector<std::uint8_t>(100'000, 'O')).problem == "not an Ogg file");
  OggFile vorbis;
  OggFile::Stream{vorbis, 1}.add({1, 'v', 'o', 'r', 'b', 'i', 's'}, 0).page().add(OggPacket(50, 3), 0).page();
  CHECK(problem(vorbis) == "no Opus in it, but Vorbis");
  OggFile six;
  OggFile::Stream{six, 1}.headers(opus_head(6, 312, 0, 1));
  CHECK(problem(six).find("it has 6 channels; mono and stereo are taken") == 0);
  OggFile untagged;
  OggFile::Stream{untagged, 1}.headers(opus_head(), OggPacket(30, 'x'));
  CHECK(problem(untagged) == "not Ogg Opus: its second header is missing");
  OggFile old;
  OggPacket head = opus_head();
  head[8] = 0x10;
  OggFile::Stream{old, 1}.headers(head);
  CHECK(problem(old) == "not Ogg Opus of version 1");
  CHECK(problem(simple({})) == "it has no audio in it");
  OggFile endless;
  OggFile::Stream stream{endless, 1};
  stream.headers().add(OggPacket(300'000, 9), 960).page();
  CHECK(problem(endless) == "not Ogg Opus: a packet of it does not end");
}

TEST_CASE("stereo may be mapped by name, and a gain that is not applied is told") {
  OggFile file;
  OggFile::Stream stream{file, 1};
  write(stream.headers(opus_head(2, 312, -512, 1)), numbered(0, 3));
  const Got got = read(file.bytes);
  CHECK(got.packets.size() == 3);
  CHECK(got.notices == Texts{"its output gain of -2.0 dB is not applied"});
}

TEST_CASE("what this program records can be played again, silence included") {
  for (const bool live : {false, true})
    for (const int frame_ms : {10, 20, 40, 60}) {
      CAPTURE(live);
      CAPTURE(frame_ms);
      const std::chrono::milliseconds frame{frame_ms};
      receive::OggOpusConfig config;
      config.frame = frame;
      config.live = live;
      receive::OggOpusWriter writer{config};
      std::vector<std::uint8_t> bytes;
      const auto take = [&] {
        const Bytes more = writer.take();
        bytes.insert(bytes.end(), more.begin(), more.end());
      };
      const auto packets = opus_tone(frame, 1, 30);
      const auto add = [&](receive::PlayedKind kind, Bytes opus) {
        receive::Played played;
        played.kind = kind;
        played.opus = opus;
        REQUIRE(writer.add(played));
        take();
      };
      for (int i = 0; i < 24; ++i) add(receive::PlayedKind::empty, {});
      for (const auto& packet : packets) add(receive::PlayedKind::frame, packet);
      REQUIRE(writer.finish());
      take();
      const Got got = read(bytes, static_cast<std::uint8_t>(frame_ms));
      CHECK(got.problem == "");
      CHECK(got.notices == Texts{});
      // Ticks without audio before the first are silence, or packets without audio; all in all as long as it was.
      std::uint64_t ticks = got.packets.size();
      for (const auto silence : got.silence) ticks += silence;
      CHECK(ticks == 54);
      REQUIRE(got.packets.size() >= packets.size());
      CHECK(std::equal(packets.begin(), packets.end(), got.packets.end() - 30, got.packets.end()));
    }
}

TEST_CASE("whatever bytes are changed, nothing breaks") {
  OggFile file = simple(numbered(0, 20));
  SeededRandom random{5};
  for (int i = 0; i < 3000; ++i) {
    auto bytes = file.bytes;
    for (std::uint64_t n = 1 + random.below(6); n > 0; --n)
      bytes[random.below(bytes.size())] = static_cast<std::uint8_t>(random.u64());
    if (random.below(4) == 0) bytes.resize(random.below(bytes.size()));
    // The checksum hides what is inside from all but the first changes: make some pages right again.
    for (std::size_t at = 0; at + 27 < bytes.size(); ++at) {
      if (bytes[at] != 'O' || bytes[at + 1] != 'g' || random.below(2) == 0) continue;
      std::size_t body = 0;
      const std::size_t header = 27 + std::size_t{bytes[at + 26]};
      if (at + header > bytes.size()) continue;
      for (std::size_t s = 27; s < header; ++s) body += bytes[at + s];
      if (at + header + body > bytes.size()) continue;
      ogg_page page{bytes.data() + at, static_cast<long>(header), bytes.data() + at + header, static_cast<long>(body)};
      ogg_page_checksum_set(&page);
    }
    const Got got = read(bytes, 20, 1 + random.below(3000));
    for (const auto& packet : got.packets) REQUIRE(packet.size() <= wire::kMaxOpus);
  }
}

}  // namespace tiercast::ogg_opus_reader_test
