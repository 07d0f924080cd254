#include "relay/receive/ogg_repair.hpp"

#include <doctest/doctest.h>
#include <opusfile.h>

#include <fstream>

#include "relay/receive/ogg_opus.hpp"
#include "tests/cli/temporary_directory.hpp"
#include "tests/receive/opus_tone.hpp"

namespace tiercast::ogg_repair_test {

using namespace tiercast::test;
using receive::OggFacts;
using receive::OggOpusConfig;
using receive::OggOpusWriter;
using receive::OggScan;
using receive::Played;

namespace {

struct Recording {
  Datagram bytes;
  std::vector<std::size_t> pages;  // where each ends
  std::vector<std::size_t> ticks;  // that the file has then
};

/// As a recorder writes it, without an end.
Recording recording(const std::vector<Played>& played) {
  OggOpusConfig config{20ms, 0x1234, "main", WallTime{1'700'000'000s}};
  config.page_ticks = 25;
  config.comments = {"TIERCAST_SEQUENCE=5000", "TIERCAST_FRAME_MS=20"};
  OggOpusWriter writer{config};
  Recording out;
  for (std::size_t i = 0; i <= played.size(); ++i) {
    if (i < played.size()) {
      REQUIRE(writer.add(played[i]));
    } else {
      REQUIRE(writer.flush());
    }
    const Bytes bytes = writer.take();
    if (bytes.empty()) continue;
    out.bytes.insert(out.bytes.end(), bytes.begin(), bytes.end());
    // With the first tick come both headers.
    if (out.pages.empty()) {
      out.pages = {0, 0};
      out.ticks = {0, 0};
    } else {
      out.pages.push_back(out.bytes.size());
      out.ticks.push_back(i);
    }
  }
  // Where the first page of each header ends is told by its own lengths.
  std::size_t at = 0;
  for (std::size_t p = 0; p < 2; ++p) {
    std::size_t size = 27u + out.bytes[at + 26];
    for (std::size_t s = 0; s < out.bytes[at + 26]; ++s) size += out.bytes[at + 27 + s];
    out.pages[p] = at += size;
  }
  return out;
}

OggFacts facts_of(Bytes bytes, std::size_t piece = 1000) {
  OggScan scan;
  for (; !bytes.empty(); bytes = bytes.subspan(std::min(piece, bytes.size())))
    scan.add(bytes.first(std::min(piece, bytes.size())));
  return scan.facts();
}

/// What opusfile plays of it, in samples, and whether it found a hole.
std::int64_t played_by_opusfile(const Datagram& file) {
  int error = 0;
  OggOpusFile* opened = op_open_memory(file.data(), file.size(), &error);
  REQUIRE(opened != nullptr);
  ogg_int64_t read = 0;
  opus_int16 pcm[5760 * 2];
  int got;
  while ((got = op_read(opened, pcm, 5760 * 2, nullptr)) > 0) read += got;
  CHECK(got == 0);
  CHECK(op_pcm_total(opened, -1) == read);
  op_free(opened);
  return read;
}

const std::string kPicture = "ffffffffffffffffffffffffffelfffffffffffffffffffffffffffffffffff";

}  // namespace

TEST_CASE("ogg repair: cut off at any byte, a recording has all whole pages, and ends") {
  const auto packets = opus_tone(20ms, 1, 60);
  const Recording whole = recording(ticks(kPicture, packets));
  REQUIRE(whole.pages.size() == 5);  // two headers, 25 ticks twice from the sequence's multiple on, and what is left
  REQUIRE(whole.ticks.back() == kPicture.size());
  for (std::size_t cut = 0; cut <= whole.bytes.size(); ++cut) {
    const Bytes left = Bytes{whole.bytes}.first(cut);
    const OggFacts facts = facts_of(left, 1 + cut % 700);
    std::size_t pages = 0;
    while (pages < whole.pages.size() && whole.pages[pages] <= cut) ++pages;
    CAPTURE(cut);
    REQUIRE(facts.pages == pages);
    REQUIRE(facts.whole == (pages == 0 ? 0 : whole.pages[pages - 1]));
    REQUIRE(facts.readable == (pages >= 2));
    REQUIRE(facts.audio == (pages >= 3));
    REQUIRE_FALSE(facts.ended);
    if (!facts.audio) continue;
    REQUIRE(facts.samples == static_cast<std::int64_t>(whole.ticks[pages - 1]) * 960);
    CHECK(facts.comment("TIERCAST_SEQUENCE") == "5000");
    CHECK(facts.comment("TITLE") == "main");
    CHECK(facts.comment("TIERCAST") == "");
    // As it is, and mended.
    Datagram mended(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(facts.whole));
    const auto end = receive::ogg_end_page(facts);
    mended.insert(mended.end(), end.begin(), end.end());
    const OggFacts again = facts_of(mended);
    REQUIRE((again.ended && again.pages == pages + 1 && again.samples == facts.samples));
    REQUIRE(again.whole == mended.size());
    if (cut % 11 != 0 && facts.whole != cut) continue;  // decoding takes its time
    REQUIRE(played_by_opusfile(mended) == facts.samples);
    REQUIRE(played_by_opusfile(Datagram(left.begin(), left.end())) == facts.samples);
  }
}

TEST_CASE("ogg repair: opusinfo finds nothing to warn of in what was mended, mono or stereo") {
  TemporaryDirectory folder;
  for (const int channels : {1, 2}) {
    const Recording whole = recording(ticks(kPicture, opus_tone(20ms, channels, 60)));
    for (const std::size_t cut : {whole.pages[2], whole.pages[3] + 100, whole.pages[4]}) {
      const OggFacts facts = facts_of(Bytes{whole.bytes}.first(std::min(cut, whole.bytes.size())));
      const auto end = receive::ogg_end_page(facts);
      std::ofstream file{folder / "mended.opus", std::ios::binary};
      file.write(reinterpret_cast<const char*>(whole.bytes.data()), static_cast<std::streamsize>(facts.whole));
      file.write(reinterpret_cast<const char*>(end.data()), static_cast<std::streamsize>(end.size()));
      file.close();
      FILE* pipe = popen(("opusinfo " + (folder / "mended.opus") + " 2>&1").c_str(), "r");
      REQUIRE(pipe != nullptr);
      std::string said;
      for (char buffer[512]; std::fgets(buffer, sizeof buffer, pipe) != nullptr;) said += buffer;
      CHECK(pclose(pipe) == 0);
      CAPTURE(said);
      CHECK(said.find("WARNING") == std::string::npos);
      CHECK(said.find("Logical stream 1 ended") != std::string::npos);
    }
  }
}

TEST_CASE("ogg repair: pages behind a damaged one count, zeros at the end do not, nor does what is no recording") {
  const Recording whole = recording(ticks(kPicture, opus_tone(20ms, 1, 60)));
  Datagram damaged = whole.bytes;
  damaged[whole.pages[2] + 200] ^= 1;  // in the second page of audio
  OggFacts facts = facts_of(damaged);
  CHECK(facts.whole == damaged.size());
  CHECK(facts.samples == static_cast<std::int64_t>(kPicture.size()) * 960);
  CHECK(facts.pages == 5);

  Datagram zeros = whole.bytes;
  zeros.resize(whole.pages[3] + 5);
  zeros.resize(zeros.size() + 70000);  // as a file system may leave them when the power fails
  facts = facts_of(zeros);
  CHECK(facts.whole == whole.pages[3]);

  CHECK_FALSE(facts_of(Datagram(5000, 'x')).readable);
  CHECK_FALSE(facts_of(Bytes{whole.bytes}.subspan(whole.pages[0])).readable);  // without its first page
  CHECK(facts_of({}).whole == 0);
}

}  // namespace tiercast::ogg_repair_test
