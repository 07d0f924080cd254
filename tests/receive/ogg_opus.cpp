#include "relay/receive/ogg_opus.hpp"

#include <doctest/doctest.h>
#include <opusfile.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/receive/opus_tone.hpp"
#include "tests/support/counting_allocator.hpp"

namespace tiercast::ogg_opus_test {

using namespace tiercast::test;
using receive::OggOpusConfig;
using receive::OggOpusWriter;
using receive::Played;
using receive::PlayedKind;

namespace {

constexpr int kPreSkip = 120;

OggOpusConfig config_for(std::chrono::milliseconds frame) {
  return {frame, 0x1234, "main", WallTime{1'700'000'000'123'456us}};
}

Datagram file_of(const std::vector<Played>& played, std::chrono::milliseconds frame) {
  OggOpusWriter writer{config_for(frame)};
  Datagram out;
  auto take = [&] {
    const Bytes bytes = writer.take();
    out.insert(out.end(), bytes.begin(), bytes.end());
  };
  for (const Played& p : played) {
    REQUIRE(writer.add(p));
    take();
  }
  REQUIRE(writer.finish());
  take();
  CHECK(writer.duration() == frame * static_cast<int>(played.size()));
  return out;
}

struct Page {
  bool begins, ends;
  std::int64_t granule;
  int packets;
};
struct Parsed {
  std::vector<Page> pages;
  std::vector<Datagram> packets;
};

Parsed parse(const Datagram& file) {
  Parsed out;
  ogg_sync_state sync;
  ogg_sync_init(&sync);
  std::copy(file.begin(), file.end(), ogg_sync_buffer(&sync, static_cast<long>(file.size())));
  ogg_sync_wrote(&sync, static_cast<long>(file.size()));
  ogg_stream_state stream;
  ogg_stream_init(&stream, 0x1234);
  ogg_page page;
  int status;
  while ((status = ogg_sync_pageout(&sync, &page)) != 0) {
    REQUIRE(status == 1);  // no byte between pages, every checksum right
    out.pages.push_back(
        {ogg_page_bos(&page) != 0, ogg_page_eos(&page) != 0, ogg_page_granulepos(&page), ogg_page_packets(&page)});
    REQUIRE(ogg_stream_pagein(&stream, &page) == 0);
    ogg_packet packet;
    while (ogg_stream_packetout(&stream, &packet) == 1)
      out.packets.emplace_back(packet.packet, packet.packet + packet.bytes);
  }
  ogg_stream_clear(&stream);
  ogg_sync_clear(&sync);
  return out;
}

/// What a command prints, both streams.
std::string output_of(const std::string& command) {
  std::string out;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  REQUIRE(pipe != nullptr);
  char buffer[512];
  while (std::fgets(buffer, sizeof buffer, pipe) != nullptr) out += buffer;
  CHECK(pclose(pipe) == 0);
  return out;
}

class TemporaryFile {
 public:
  explicit TemporaryFile(const Datagram& contents) {
    std::string name = (std::filesystem::temp_directory_path() / "ogg-XXXXXX.opus").string();
    const int fd = mkstemps(name.data(), 5);
    REQUIRE(fd >= 0);
    close(fd);
    path_ = name;
    std::ofstream{path_, std::ios::binary}.write(reinterpret_cast<const char*>(contents.data()),
                                                 static_cast<std::streamsize>(contents.size()));
  }
  ~TemporaryFile() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

const char* kPictures[] = {
    "f",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "lllffffffffffffffffffff",
    "eeffffeeffffflllllffffffffffffffeeeee",
    "fffffffflflflflflflffffffllllllllllllllllllllllllllllllllllllllllffffeeeeeefffflll",
    "llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllf",
};

}  // namespace

TEST_CASE("ogg opus: packets come back bit for bit, gaps with their length, by pages of at most a second") {
  for (const auto frame : {10ms, 20ms, 40ms, 60ms})
    for (const int channels : {1, 2})
      for (const char* picture : kPictures) {
        CAPTURE(frame.count());
        CAPTURE(channels);
        CAPTURE(picture);
        const auto packets = opus_tone(frame, channels, 40);
        const auto played = ticks(picture, packets);
        const Parsed file = parse(file_of(played, frame));
        const std::int64_t samples = 48 * frame.count();
        const auto total = static_cast<std::int64_t>(played.size()) * samples;

        REQUIRE(file.packets.size() > 2);
        CHECK(std::string(file.packets[0].begin(), file.packets[0].begin() + 8) == "OpusHead");
        CHECK(file.packets[0].size() == 19);
        CHECK(file.packets[0][9] == channels);
        const std::string tags(file.packets[1].begin(), file.packets[1].end());
        CHECK(tags.starts_with("OpusTags"));
        CHECK(tags.find("tiercast " TIERCAST_VERSION) != std::string::npos);
        CHECK(tags.find("TITLE=main") != std::string::npos);
        CHECK(tags.find("DATE=2023-11-14T22:13:20.123456Z") != std::string::npos);

        CHECK(file.packets[0][10] + 256 * file.packets[0][11] == kPreSkip);  // pre-skip
        std::int64_t sum = -kPreSkip;                                        // the packet that the pre-skip skips
        std::vector<std::pair<std::int64_t, Datagram>> timed;                // with their start, in samples
        for (std::size_t i = 2; i < file.packets.size(); ++i) {
          const auto length = receive::opus_samples(file.packets[i]);
          REQUIRE(length);
          timed.emplace_back(sum, file.packets[i]);
          sum += *length;
        }
        CHECK(sum == total);
        std::size_t at_packet = 0;
        for (std::size_t i = 0; i < played.size(); ++i) {
          if (played[i].kind != PlayedKind::frame) continue;
          const auto start = static_cast<std::int64_t>(i) * samples;
          while (at_packet < timed.size() && timed[at_packet].first < start) ++at_packet;
          REQUIRE(at_packet < timed.size());
          CHECK(timed[at_packet].first == start);
          CHECK(timed[at_packet].second == Datagram(played[i].opus.begin(), played[i].opus.end()));
        }

        std::int64_t before = 0;
        for (std::size_t i = 0; i < file.pages.size(); ++i) {
          CHECK(file.pages[i].begins == (i == 0));
          CHECK(file.pages[i].ends == (i + 1 == file.pages.size()));
          CHECK(file.pages[i].packets >= 1);
          if (i < 2) {
            CHECK(file.pages[i].granule == 0);
            CHECK(file.pages[i].packets == 1);
          }
          CHECK(file.pages[i].granule - before <= 48000);
          before = file.pages[i].granule;
        }
        CHECK(before == kPreSkip + total);
      }
}

TEST_CASE("ogg opus: opusfile decodes it whole, without a hole, to the sample") {
  for (const auto frame : {10ms, 20ms, 40ms, 60ms})
    for (const int channels : {1, 2})
      for (const char* picture : kPictures) {
        CAPTURE(picture);
        const auto packets = opus_tone(frame, channels, 40);
        const auto played = ticks(picture, packets);
        const Datagram file = file_of(played, frame);
        int error = 0;
        OggOpusFile* opened = op_open_memory(file.data(), file.size(), &error);
        REQUIRE(opened != nullptr);
        const auto total = static_cast<ogg_int64_t>(played.size()) * frame.count() * 48;
        CHECK(op_channel_count(opened, -1) == channels);
        CHECK(op_pcm_total(opened, -1) == total);
        ogg_int64_t read = 0;
        opus_int16 pcm[5760 * 2];
        int got;
        while ((got = op_read(opened, pcm, 5760 * 2, nullptr)) > 0) read += got;
        CHECK(got == 0);
        CHECK(read == total);
        op_free(opened);
      }
}

TEST_CASE("ogg opus: opusinfo and ffmpeg agree on the duration and find nothing to warn of") {
  for (const auto frame : {10ms, 20ms, 40ms, 60ms})
    for (const int channels : {1, 2}) {
      const auto application = channels == 1 ? OPUS_APPLICATION_VOIP : OPUS_APPLICATION_AUDIO;
      const auto packets = opus_tone(frame, channels, 40, application);
      std::string picture = "llleeffffffllffffeeeffff";
      for (int i = 0; i < 8; ++i) picture += "ffffffffffffffffffffffffflllffffeffffff";
      picture += "eel";
      const auto played = ticks(picture, packets);
      const TemporaryFile file{file_of(played, frame)};
      const double seconds = static_cast<double>(played.size()) * static_cast<double>(frame.count()) / 1000.0;
      CAPTURE(frame.count());
      CAPTURE(channels);

      const std::string info = output_of("opusinfo " + file.path());
      CAPTURE(info);
      CHECK(info.find("WARNING") == std::string::npos);
      CHECK(info.find("Encoded with tiercast") != std::string::npos);
      int minutes = 0;
      double rest = 0;
      const auto length = info.find("Playback length: ");
      REQUIRE(length != std::string::npos);
      REQUIRE(std::sscanf(info.c_str() + length, "Playback length: %dm:%lfs", &minutes, &rest) == 2);
      CHECK(std::abs(minutes * 60 + rest - seconds) < 0.0011);  // printed in milliseconds, rounded down
      CHECK(info.find("Logical stream 1 ended") != std::string::npos);

      const std::string duration =
          output_of("ffprobe -v warning -show_entries format=duration -of csv=p=0 " + file.path());
      CHECK(std::abs(std::stod(duration) - seconds - kPreSkip / 48000.0) < 0.0001);  // which ffprobe always adds
      CHECK(duration.find('\n') == duration.size() - 1);                             // one line: no warning
      const std::string decoded = output_of("ffmpeg -v warning -nostdin -i " + file.path() + " -f null -");
      CHECK(decoded == "");
    }
}

TEST_CASE("ogg opus: what is no Opus packet of the group's length is concealed, not written") {
  const auto packets = opus_tone(20ms, 1, 3);
  auto played = ticks("fffff", packets);
  const Datagram wrong_length = opus_tone(40ms, 1, 1)[0];
  const Datagram broken{0xff, 0x00};  // code 3 with no frames
  played[1].opus = wrong_length;
  played[3].opus = broken;
  OggOpusWriter writer{config_for(20ms)};
  for (const Played& p : played) writer.add(p);
  writer.finish();
  CHECK(writer.counters().refused.get() == 2);
  CHECK(writer.counters().packets.get() == 3);
  const Bytes bytes = writer.take();
  const Parsed file = parse(Datagram(bytes.begin(), bytes.end()));
  REQUIRE(file.packets.size() == 8);
  CHECK(file.packets[4] == Datagram{static_cast<std::uint8_t>(packets[0][0] & 0xfc)});
  CHECK(file.pages.back().granule == kPreSkip + 5 * 960);
}

TEST_CASE("ogg opus: ticks that a discontinuity skips are not inserted") {
  const auto packets = opus_tone(20ms, 1, 6);
  const auto played = ticks("fff|fff", packets);
  CHECK(played[3].sequence.value - played[2].sequence.value == 1001);
  CHECK(parse(file_of(played, 20ms)).pages.back().granule == kPreSkip + 6 * 960);
}

TEST_CASE(
    "ogg opus: pages by the sequence are the same wherever a file begins, and one that is open can be closed early") {
  const auto packets = opus_tone(20ms, 1, 40);
  const auto played = ticks(std::string(120, 'f'), packets);  // from sequence 5000 on
  const auto pages_from = [&](std::size_t first, bool early) {
    OggOpusConfig config = config_for(20ms);
    config.page_ticks = 25;
    config.comments = {"TIERCAST_SEQUENCE=" + std::to_string(5000 + first)};
    OggOpusWriter writer{config};
    Datagram file;
    const auto take = [&] {
      const Bytes bytes = writer.take();
      file.insert(file.end(), bytes.begin(), bytes.end());
      return bytes.size();
    };
    for (std::size_t i = first; i < played.size(); ++i) {
      REQUIRE(writer.add(played[i]));
      take();
      if (!early || i != 60) continue;
      REQUIRE(writer.flush());
      CHECK(take() > 0);
      REQUIRE(writer.flush());
      CHECK(take() == 0);  // there is nothing more
    }
    REQUIRE(writer.finish());
    take();
    const Parsed parsed = parse(file);
    const std::string tags(parsed.packets[1].begin(), parsed.packets[1].end());
    CHECK(tags.find(config.comments[0]) != std::string::npos);
    std::vector<std::int64_t> ends;  // in ticks of the broadcast
    for (std::size_t p = 2; p < parsed.pages.size(); ++p)
      ends.push_back((parsed.pages[p].granule - kPreSkip) / 960 + static_cast<std::int64_t>(first));
    return ends;
  };
  CHECK(pages_from(0, false) == std::vector<std::int64_t>{25, 50, 75, 100, 120});
  CHECK(pages_from(7, false) == std::vector<std::int64_t>{25, 50, 75, 100, 120});
  CHECK(pages_from(30, true) == std::vector<std::int64_t>{50, 61, 75, 100, 120});
}

TEST_CASE("ogg opus: an end without any audio is still a file, without any tick it is empty") {
  const auto played = ticks("lelele", {});
  CHECK(parse(file_of(played, 20ms)).pages.back().granule == kPreSkip + 6 * 960);
  CHECK(file_of({}, 20ms).empty());
}

TEST_CASE("ogg opus: of the silence before the first audio the last hour is kept, and the start time follows") {
  const auto packets = opus_tone(20ms, 1, 1);
  OggOpusWriter writer{config_for(20ms)};
  Played empty;
  empty.kind = PlayedKind::empty;
  for (int i = 0; i < 3600 * 50 + 500; ++i) {  // ten seconds more
    REQUIRE(writer.add(empty));
    REQUIRE(writer.take().empty());
  }
  REQUIRE(writer.add(ticks("f", packets)[0]));
  Bytes bytes = writer.take();
  CHECK(bytes.size() < 200 * 1024);
  Datagram all(bytes.begin(), bytes.end());
  REQUIRE(writer.finish());
  bytes = writer.take();
  all.insert(all.end(), bytes.begin(), bytes.end());
  const Parsed file = parse(all);
  CHECK(file.pages.back().granule == kPreSkip + 48000ll * 3600 + 960);
  const std::string tags(file.packets[1].begin(), file.packets[1].end());
  CHECK(tags.find("DATE=2023-11-14T22:13:30.123456Z") != std::string::npos);
}

TEST_CASE("ogg opus: what is not taken has a bound; nothing is lost when taking goes on") {
  const auto packets = opus_tone(20ms, 2, 50);
  const auto played = ticks(std::string(50, 'f'), packets);
  OggOpusWriter writer{config_for(20ms)};
  Datagram out;
  std::size_t refused = 0, added = 0;
  for (int i = 0; i < 5000; ++i) {
    if (!writer.add(played[static_cast<std::size_t>(i) % played.size()])) {
      ++refused;
      const Bytes bytes = writer.take();
      CHECK(bytes.size() < 256 * 1024);
      out.insert(out.end(), bytes.begin(), bytes.end());
      REQUIRE(writer.add(played[static_cast<std::size_t>(i) % played.size()]));
    }
    ++added;
  }
  REQUIRE((writer.finish() || (writer.take(), writer.finish())));
  CHECK(refused > 0);
  CHECK(writer.counters().drop_no_room.get() == refused);
  CHECK(writer.duration() == 20ms * static_cast<int>(added));
}

TEST_CASE("ogg opus: after the headers nothing allocates per frame, live or not") {
  const auto packets = opus_tone(20ms, 2, 50);
  const auto played = ticks("fffflfffefffffffffffffffffffffffffff", packets);
  for (const bool live : {false, true}) {
    CAPTURE(live);
    OggOpusConfig config = config_for(20ms);
    config.live = live;
    OggOpusWriter writer{config};
    writer.add(played[0]);
    writer.take();
    std::uint64_t bytes = 0;
    AllocationCount allocations;
    for (int i = 0; i < 5000; ++i) {
      writer.add(played[static_cast<std::size_t>(i) % played.size()]);
      bytes += writer.take().size();
    }
    const std::uint64_t count = allocations.count();
    CHECK(count == 0);
    CHECK(bytes > 100'000);
  }
}

}  // namespace tiercast::ogg_opus_test
