// Ogg Opus for somebody who listens while it is written.
#include <doctest/doctest.h>
#include <opusfile.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string_view>
#include <vector>

#include "relay/receive/ogg_opus.hpp"
#include "tests/receive/opus_tone.hpp"

namespace tiercast::ogg_opus_live_test {

using namespace tiercast::test;
using receive::OggOpusConfig;
using receive::OggOpusWriter;
using receive::Played;

namespace {

constexpr int kPreSkip = 120;

OggOpusConfig live(std::chrono::milliseconds frame) {
  return {frame, 0x1234, "main", WallTime{1'700'000'000'123'456us}, true};
}

/// Reads whole pages as they come.
class Stream {
 public:
  Stream() {
    ogg_sync_init(&sync_);
    ogg_stream_init(&stream_, 0x1234);
  }
  ~Stream() {
    ogg_stream_clear(&stream_);
    ogg_sync_clear(&sync_);
  }
  void give(Bytes bytes) {
    whole.insert(whole.end(), bytes.begin(), bytes.end());
    std::copy(bytes.begin(), bytes.end(), ogg_sync_buffer(&sync_, static_cast<long>(bytes.size())));
    ogg_sync_wrote(&sync_, static_cast<long>(bytes.size()));
    ogg_page page;
    int status;
    while ((status = ogg_sync_pageout(&sync_, &page)) != 0) {
      REQUIRE(status == 1);
      ++pages;
      granule = ogg_page_granulepos(&page);
      ended = ogg_page_eos(&page) != 0;
      REQUIRE(ogg_stream_pagein(&stream_, &page) == 0);
      ogg_packet packet;
      while (ogg_stream_packetout(&stream_, &packet) == 1)
        packets.emplace_back(packet.packet, packet.packet + packet.bytes);
    }
  }
  Datagram whole;
  std::vector<Datagram> packets;
  std::int64_t granule = 0;
  int pages = 0;
  bool ended = false;

 private:
  ogg_sync_state sync_;
  ogg_stream_state stream_;
};

}  // namespace

TEST_CASE("ogg opus, live: whoever reads has every tick when it is written, and the headers with the first") {
  for (const auto frame : {10ms, 20ms, 40ms, 60ms})
    for (const char* picture : {"ffffffelfff", "eeeeffff", "lf", "e"}) {
      CAPTURE(picture);
      const auto packets = opus_tone(frame, 1, 10);
      OggOpusWriter writer{live(frame)};
      Stream stream;
      std::size_t ticks_given = 0;
      for (const Played& p : ticks(picture, packets)) {
        REQUIRE(writer.add(p));
        stream.give(writer.take());
        ++ticks_given;
        REQUIRE(stream.packets.size() == 3 + ticks_given);  // two headers and the one that pre-skip skips
        CHECK(stream.granule == kPreSkip + static_cast<std::int64_t>(ticks_given) * frame.count() * 48);
        if (!p.opus.empty()) CHECK(stream.packets.back() == Datagram(p.opus.begin(), p.opus.end()));
        if (ticks_given == 1) CHECK(stream.whole.size() > 2048);  // so that ffmpeg does not wait for more to look at
      }
      CHECK_FALSE(stream.ended);
      const std::int64_t granule = stream.granule;
      REQUIRE(writer.finish());
      stream.give(writer.take());
      CHECK(stream.ended);
      CHECK(stream.granule == granule);
      CHECK(writer.duration() == frame * static_cast<int>(ticks_given));

      int error = 0;
      OggOpusFile* opened = op_open_memory(stream.whole.data(), stream.whole.size(), &error);
      REQUIRE(opened != nullptr);
      const auto total = static_cast<ogg_int64_t>(ticks_given) * frame.count() * 48;
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

TEST_CASE("ogg opus, live: channels are the first packet's, or two where that is not known yet") {
  const auto channels = [](std::string_view picture, int coded) {
    const auto packets = opus_tone(20ms, coded, 10);
    OggOpusWriter writer{live(20ms)};
    writer.add(ticks(picture, packets)[0]);
    Stream stream;
    stream.give(writer.take());
    return int{stream.packets[0][9]};
  };
  CHECK(channels("f", 1) == 1);
  CHECK(channels("f", 2) == 2);
  CHECK(channels("ef", 1) == 2);
  CHECK(channels("lf", 1) == 2);
}

TEST_CASE("ogg opus, live: without any tick there is nothing") {
  OggOpusWriter writer{live(20ms)};
  CHECK(writer.finish());
  CHECK(writer.take().empty());
}

}  // namespace tiercast::ogg_opus_live_test
