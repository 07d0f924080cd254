#include "relay/node/recorder.hpp"

#include <doctest/doctest.h>

#include <map>

#include "relay/receive/ogg_repair.hpp"
#include "tests/receive/opus_tone.hpp"

namespace tiercast::recorder_test {

using namespace tiercast::test;
using node::Recorder;
using receive::FinishedBy;

namespace {

constexpr Epoch kEpoch{1000};
constexpr std::uint64_t kFirst = 50'000;

/// A disk in memory, which may take nothing.
struct Disk final : receive::Recordings {
  struct File {
    Datagram bytes;
    std::optional<FinishedBy> finished;
    std::optional<receive::RecordingGap> gap;
  };
  std::vector<File> files;
  bool full = false;  // what is appended is the last that there is room for
  bool takes_no_file = false;

  bool begin(WallTime, const std::optional<receive::RecordingGap>& gap, Duration) override {
    if (takes_no_file) return false;
    files.push_back({{}, {}, gap});
    return true;
  }
  bool append(Bytes pages) override {
    REQUIRE_FALSE(files.back().finished);
    files.back().bytes.insert(files.back().bytes.end(), pages.begin(), pages.end());
    return !full;
  }
  void finish(FinishedBy why) override { files.back().finished = why; }
  bool settled() const override { return true; }
  void on_timer(Time) override {}
  Time next_deadline() const override { return kNever; }
  receive::RecordingHealth health() const override {
    return {files.empty() || files.back().finished ? "" : "/r/main-" + std::to_string(files.size()) + ".opus", "", 0,
            0};
  }
  const receive::RecordingCounters& counters() const override { return none_; }
  receive::RecordingCounters none_;
};

struct Contents {
  receive::OggFacts facts;
  std::uint64_t first = 0;
  std::map<std::uint64_t, Datagram> packets;  // by sequence; those of more than two bytes
  std::vector<std::uint64_t> page_ends;       // sequences: the first one behind each page
};

Contents read(const Disk::File& file) {
  Contents out;
  receive::OggScan scan;
  scan.add(file.bytes);
  out.facts = scan.facts();
  out.first = std::stoull(out.facts.comment("TIERCAST_SEQUENCE"));
  ogg_sync_state sync;
  ogg_sync_init(&sync);
  std::copy(file.bytes.begin(), file.bytes.end(), ogg_sync_buffer(&sync, static_cast<long>(file.bytes.size())));
  ogg_sync_wrote(&sync, static_cast<long>(file.bytes.size()));
  ogg_stream_state stream;
  ogg_stream_init(&stream, static_cast<int>(out.facts.serial));
  ogg_page page;
  ogg_packet packet;
  int headers = 2;
  std::int64_t at = -120;  // what the pre-skip skips
  while (ogg_sync_pageout(&sync, &page) == 1) {
    REQUIRE(ogg_stream_pagein(&stream, &page) == 0);
    while (ogg_stream_packetout(&stream, &packet) == 1) {
      if (headers > 0) {
        --headers;
        continue;
      }
      const Bytes bytes{packet.packet, static_cast<std::size_t>(packet.bytes)};
      if (bytes.size() > 2) {
        REQUIRE(at % 960 == 0);
        out.packets[out.first + static_cast<std::uint64_t>(at / 960)] = Datagram(bytes.begin(), bytes.end());
      }
      at += receive::opus_samples(bytes).value();
    }
    const std::int64_t granule = ogg_page_granulepos(&page) - 120;
    if (granule > 0) out.page_ends.push_back(out.first + static_cast<std::uint64_t>(granule / 960));
  }
  ogg_stream_clear(&stream);
  ogg_sync_clear(&sync);
  return out;
}

/// A source, and a recorder that hears of it what a test gives it.
struct Rig {
  explicit Rig(Duration silence = 0s, std::uint32_t serial = 1)
      : group(kGroup, "main", 20ms, {{SourceId{1}, source.key().key}}) {
    auto owned = std::make_unique<Disk>();
    disk = owned.get();
    recorder = std::make_unique<Recorder>(group, std::move(owned), Recorder::Options{"stage", silence}, serial);
    recorder->on_epoch(source.record(kEpoch));
  }
  static Moment moment(Duration d) {
    return {at(d), WallTime{1'700'000'000s} + std::chrono::duration_cast<std::chrono::microseconds>(d)};
  }
  Duration time_of(std::uint64_t s) const { return 20ms * static_cast<int>(s - kFirst); }
  void timers(Duration until) {
    while (recorder->next_deadline() <= at(until)) {
      const Duration due = std::max(now, recorder->next_deadline() - at(0ms));
      recorder->on_timer(moment(due));
      now = due;
    }
    now = std::max(now, until);
  }
  void give(std::uint64_t s, bool audio = true, std::uint8_t flags = 0) {
    timers(time_of(s) + late);
    const auto frame = source.seal(kEpoch, Sequence{s}, audio ? Bytes{packets[s % packets.size()]} : Bytes{}, flags);
    recorder->on_frame(frame, moment(now));
    run.push_back(frame);
    if (run.size() == 25 || flags != 0) attest(flags);
  }
  void attest(std::uint8_t flags) {
    recorder->on_attest(source.attest(run, flags), moment(now));
    run.clear();
  }
  void speak(std::uint64_t first, std::uint64_t count, bool audio = true) {
    for (std::uint64_t s = first; s < first + count; ++s) give(s, audio);
  }
  const Datagram& packet(std::uint64_t s) const { return packets[s % packets.size()]; }

  TestSource source{SourceId{1}};
  std::vector<Datagram> packets = opus_tone(20ms, 1, 200);
  node::Group group;
  Disk* disk = nullptr;
  std::unique_ptr<Recorder> recorder;
  std::vector<Datagram> run;
  Duration now = 0ms, late = 0ms;
};

}  // namespace

TEST_CASE("recorder: a file begins with audio, has a tick for each sequence, and is finished with the broadcast") {
  Rig rig;
  rig.speak(kFirst, 100, false);
  CHECK(rig.disk->files.empty());
  rig.speak(kFirst + 100, 60);
  rig.speak(kFirst + 160, 10, false);
  rig.speak(kFirst + 170, 30);
  REQUIRE(rig.disk->files.size() == 1);
  CHECK_FALSE(rig.disk->files[0].finished);
  rig.give(kFirst + 200, false, wire::kFlagEnd);
  REQUIRE(rig.disk->files[0].finished == FinishedBy::end);
  CHECK_FALSE(rig.disk->files[0].gap);
  const Contents file = read(rig.disk->files[0]);
  CHECK(file.facts.ended);
  CHECK(file.first == kFirst + 100);
  CHECK(file.facts.samples == 101 * 960);
  CHECK(file.packets.size() == 90);
  for (const auto& [sequence, packet] : file.packets) CHECK(packet == rig.packet(sequence));
  CHECK(file.facts.comment("TIERCAST_NODE") == "stage");
  // The next broadcast is not what follows this one.
  rig.speak(kFirst + 201, 30, false);
  CHECK(rig.disk->files.size() == 1);
  rig.speak(kFirst + 231, 30);
  REQUIRE(rig.disk->files.size() == 2);
  CHECK_FALSE(rig.disk->files[1].gap);
  rig.recorder->finish(FinishedBy::stop);
  CHECK(rig.disk->files[1].finished == FinishedBy::stop);
  CHECK(read(rig.disk->files[1]).facts.comment("TIERCAST_FOLLOWS") == "");
  rig.speak(kFirst + 261, 30);
  CHECK(rig.disk->files.size() == 2);  // for good
}

TEST_CASE("recorder: whatever moment it is cut off, what is not in the file is younger than a second") {
  Rig rig;
  std::vector<std::pair<Duration, std::uint64_t>> came;  // when, and the sequence behind it
  for (int i = 0; i < 250; ++i) {
    // After two seconds nothing comes for one, and then what comes is late by that: the page is closed all the same.
    if (i >= 100 && i < 150) {
      rig.timers(20ms * i);
    } else {
      rig.late = i < 100 ? 0s : 1s;
      rig.give(kFirst + static_cast<std::uint64_t>(i < 100 ? i : i - 50));
      came.emplace_back(rig.now, kFirst + static_cast<std::uint64_t>(i < 100 ? i : i - 50) + 1);
    }
    std::uint64_t must_have = kFirst;
    for (const auto& [when, behind] : came)
      if (when <= rig.now - 1s) must_have = behind;
    std::uint64_t has = kFirst;
    if (!rig.disk->files.empty() && !rig.disk->files[0].bytes.empty()) {
      const Contents file = read(rig.disk->files[0]);
      if (!file.page_ends.empty()) has = file.page_ends.back();
    }
    CAPTURE(i);
    CHECK(has >= must_have);
  }
}

TEST_CASE("recorder: two of one broadcast have the same packets at the same sequences, in the same pages") {
  Rig one{0s, 1}, two{0s, 2};
  for (std::uint64_t s = kFirst; s < kFirst + 300; ++s) {
    const bool audio = s % 70 < 60;
    one.give(s, audio);
    if (s >= kFirst + 33) two.give(s, audio);  // it came later
  }
  for (Rig* rig : {&one, &two}) rig->give(kFirst + 300, true, wire::kFlagEnd);
  const Contents a = read(one.disk->files.at(0)), b = read(two.disk->files.at(0));
  CHECK(a.facts.serial != b.facts.serial);
  CHECK(b.first > a.first);
  for (const auto& [sequence, packet] : b.packets) CHECK(a.packets.at(sequence) == packet);
  CHECK(std::count_if(a.packets.begin(), a.packets.end(), [&](const auto& p) { return p.first >= b.first; }) ==
        static_cast<std::ptrdiff_t>(b.packets.size()));
  const std::vector<std::uint64_t> ends(a.page_ends.end() - static_cast<std::ptrdiff_t>(b.page_ends.size()),
                                        a.page_ends.end());
  CHECK(ends == b.page_ends);
}

TEST_CASE(
    "recorder: lost ticks and short jumps are silence, so that places follow from sequences; long jumps are another "
    "file") {
  Rig rig;
  rig.speak(kFirst, 30);
  rig.run.clear();
  rig.speak(kFirst + 35, 30);  // five are lost
  rig.timers(rig.now + 3s);
  rig.run.clear();
  rig.speak(kFirst + 65, 60);
  rig.attest(0);
  // An origin that was away for 4 s begins there, and says so.
  rig.give(kFirst + 325, true, wire::kFlagDiscontinuity);
  rig.speak(kFirst + 326, 60);
  REQUIRE(rig.disk->files.size() == 1);
  CHECK(rig.recorder->counters().filled.get() > 0);
  // And for a minute.
  rig.attest(0);
  rig.give(kFirst + 3386, true, wire::kFlagDiscontinuity);
  rig.speak(kFirst + 3387, 60);
  rig.recorder->finish(FinishedBy::stop);
  REQUIRE(rig.disk->files.size() == 2);
  const Contents first = read(rig.disk->files[0]), second = read(rig.disk->files[1]);
  for (const Contents* file : {&first, &second})
    for (const auto& [sequence, packet] : file->packets) CHECK(packet == rig.packet(sequence));
  CHECK(first.packets.size() == 30 + 30 + 60 + 61);
  CHECK(first.facts.samples == 386 * 960);
  CHECK(rig.disk->files[0].finished == FinishedBy::jump);
  REQUIRE(rig.disk->files[1].gap);
  CHECK(rig.disk->files[1].gap->from == Sequence{kFirst + 386});
  CHECK(rig.disk->files[1].gap->ticks == 3000);
  CHECK(second.first == kFirst + 3386);
  CHECK(second.facts.comment("TIERCAST_FOLLOWS") == "main-1.opus");
  CHECK(second.facts.comment("TIERCAST_GAP") == "3000 ticks from sequence " + std::to_string(kFirst + 386) + ": jump");
}

TEST_CASE("recorder: silence for the set time finishes the file, with empty ticks or with none at all") {
  for (const bool ticks : {true, false}) {
    CAPTURE(ticks);
    Rig rig{3s};
    rig.speak(kFirst, 60);
    for (std::uint64_t s = kFirst + 60; ticks && s < kFirst + 205; ++s) rig.give(s, false);
    rig.timers(59 * 20ms + 2900ms);
    CHECK_FALSE(rig.disk->files.at(0).finished);
    rig.timers(59 * 20ms + 3000ms);
    REQUIRE(rig.disk->files.at(0).finished == FinishedBy::silence);
    CHECK(read(rig.disk->files[0]).facts.ended);
    rig.run.clear();
    rig.speak(kFirst + 300, 30);
    rig.timers(rig.now + 6s);  // what is missing between is waited for
    REQUIRE(rig.disk->files.size() == 2);
    CHECK(rig.disk->files[1].gap->why == FinishedBy::silence);
  }
}

TEST_CASE("recorder: a disk that takes nothing for too long is a gap, in another file, and says so") {
  Rig rig;
  rig.speak(kFirst, 100);
  rig.disk->full = rig.disk->takes_no_file = true;
  rig.speak(kFirst + 100, 100);
  REQUIRE(rig.disk->files.size() == 1);
  REQUIRE(rig.disk->files[0].finished == FinishedBy::disk);
  const Contents before = read(rig.disk->files[0]);
  CHECK(before.facts.ended);
  const std::uint64_t ends = before.first + static_cast<std::uint64_t>(before.facts.samples / 960);
  CHECK(ends > kFirst + 100);  // what it was full with is in it
  CHECK(rig.recorder->counters().drop_ticks.get() == kFirst + 200 - ends);
  rig.disk->full = rig.disk->takes_no_file = false;
  rig.speak(kFirst + 200, 100);
  rig.recorder->finish(FinishedBy::stop);
  REQUIRE(rig.disk->files.size() == 2);
  REQUIRE(rig.disk->files[1].gap);
  CHECK(rig.disk->files[1].gap->from == Sequence{ends});
  CHECK(rig.disk->files[1].gap->ticks == kFirst + 200 - ends);
  CHECK(rig.disk->files[1].gap->after == "main-1.opus");
  CHECK(read(rig.disk->files[1]).facts.comment("TIERCAST_GAP").ends_with(": disk"));
  CHECK(rig.recorder->counters().gaps.get() == 1);
  for (const auto& file : rig.disk->files)
    for (const auto& [sequence, packet] : read(file).packets) CHECK(packet == rig.packet(sequence));
}

TEST_CASE("recorder: what a killed process left is waited for, not for ever, and the gap behind it is told") {
  Rig rig;
  rig.recorder->await_leftover(at(0ms));
  rig.speak(kFirst, 40);
  CHECK(rig.disk->files.empty());
  rig.recorder->on_leftover(Recorder::Leftover{"main-before.opus", Sequence{kFirst - 70}});
  rig.speak(kFirst + 40, 40);
  REQUIRE(rig.disk->files.size() == 1);
  CHECK(rig.disk->files[0].gap->ticks == 70);
  CHECK(rig.disk->files[0].gap->why == FinishedBy::recovered);
  const Contents file = read(rig.disk->files[0]);
  CHECK(file.first == kFirst);  // and nothing is lost by waiting
  CHECK(file.facts.comment("TIERCAST_FOLLOWS") == "main-before.opus");

  Rig alone;
  alone.recorder->await_leftover(at(0ms));
  alone.speak(kFirst, 99);
  CHECK(alone.disk->files.empty());
  alone.speak(kFirst + 99, 60);
  REQUIRE(alone.disk->files.size() == 1);
  CHECK_FALSE(alone.disk->files[0].gap);
  alone.recorder->on_leftover(Recorder::Leftover{"main-before.opus", Sequence{kFirst - 70}});
  alone.recorder->finish(FinishedBy::stop);
  CHECK(read(alone.disk->files[0]).first == kFirst);
}

TEST_CASE("recorder: what waits behind a frame that never comes is no silence, and is written when it has to be") {
  for (const Duration silence : {Duration{2s}, Duration{3s}, Duration{4500ms}, Duration{6s}}) {
    CAPTURE(silence.count());
    Rig rig{silence};
    rig.speak(kFirst, 60);
    rig.run.clear();
    rig.speak(kFirst + 61, 400);
    rig.timers(rig.now + 200ms);
    CHECK(rig.disk->files.size() == 1);
    CHECK_FALSE(rig.disk->files[0].finished);
  }
  Rig rig;
  rig.speak(kFirst, 60);
  rig.run.clear();
  rig.speak(kFirst + 61, 50);
  rig.recorder->finish(FinishedBy::stop);
  REQUIRE(rig.disk->files.size() == 1);
  const Contents file = read(rig.disk->files[0]);
  CHECK(file.facts.ended);
  CHECK(file.packets.size() == 110);
  CHECK(file.packets.count(kFirst + 60) == 0);
  for (const auto& [sequence, packet] : file.packets) CHECK(packet == rig.packet(sequence));
}

}  // namespace tiercast::recorder_test
