#include "relay/store/leftovers.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "relay/receive/ogg_opus.hpp"
#include "relay/receive/ogg_repair.hpp"
#include "tests/cli/temporary_directory.hpp"
#include "tests/receive/opus_tone.hpp"

namespace tiercast::leftovers_test {

using namespace tiercast::test;
using store::RecordingPlace;

namespace {

std::string recording(std::size_t count) {
  const auto packets = opus_tone(20ms, 1, count);
  receive::OggOpusConfig config{20ms, 7, "main", WallTime{}};
  config.page_ticks = 25;
  config.comments = {"TIERCAST_SEQUENCE=5000", "TIERCAST_FRAME_MS=20"};
  receive::OggOpusWriter writer{config};
  std::string out;
  for (const auto& tick : ticks(std::string(count, 'f'), packets)) {
    REQUIRE(writer.add(tick));
    const Bytes bytes = writer.take();
    out.append(bytes.begin(), bytes.end());
  }
  return out;
}

receive::OggFacts facts_of(const std::string& path) {
  const std::string bytes = read_file(path);
  receive::OggScan scan;
  scan.add({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
  CHECK(scan.facts().whole == bytes.size());
  return scan.facts();
}

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator{directory}) out.push_back(entry.path().filename());
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

TEST_CASE("leftovers: whose they are is told by their name") {
  const RecordingPlace place{"/r", "main", "edge-1", "0a1b2c3d"};
  for (const char* name :
       {"main-20261130T201500Z.opus.edge-1-11112222.part", "main-20261130T201500Z-2.opus.edge-1-11112222.part"})
    CHECK(store::is_leftover(name, place));
  for (const char* name :
       {"main-20261130T201500Z.opus", "main-20261130T201500Z.opus.edge-1-0a1b2c3d.part",
        "main-20261130T201500Z.opus.edge-2-11112222.part", "main-20261130T201500Z.opus.my-edge-1-11112222.part",
        "main-2-20261130T201500Z.opus.edge-1-11112222.part", "other-20261130T201500Z.opus.edge-1-11112222.part",
        "main-20261130T201500Z-x.opus.edge-1-11112222.part", "main-20261130.opus.edge-1-11112222.part", "", "main-",
        ".opus.edge-1-11112222.part"})
    CHECK_FALSE(store::is_leftover(name, place));
}

TEST_CASE(
    "leftovers: what was cut off is mended, ended and named; what others have is left alone; nothing is overwritten") {
  TemporaryDirectory folder;
  const RecordingPlace place{folder / "", "main", "stage", "0a1b2c3d"};
  const std::string whole = recording(80);
  const std::string first = "main-20261130T201500Z", second = "main-20261130T201700Z";
  write_file(folder / first + ".opus.stage-11112222.part", whole.substr(0, whole.size() - 30));
  write_file(folder / first + ".opus", "there already");
  write_file(folder / second + ".opus.stage-33334444.part", whole + std::string(5000, '\0'));
  write_file(folder / "main-20261130T201800Z.opus.stage-33334444.part", whole.substr(0, 100));
  write_file(folder / "main-20261130T201900Z.opus.stage-33334444.part", "");
  write_file(folder / "main-20261130T202000Z.opus.stage-0a1b2c3d.part", whole);  // is being written
  write_file(folder / "main-20261130T202000Z.opus.edge-11112222.part", whole);
  const auto recovered = store::recover(place);
  REQUIRE(recovered.size() == 2);
  CHECK(std::filesystem::path{recovered[0].path}.filename() == first + "-2.opus");
  CHECK(std::filesystem::path{recovered[1].path}.filename() == second + ".opus");
  CHECK(recovered[0].next == Sequence{5050});  // the third page had been cut off
  CHECK(recovered[1].next == Sequence{5075});  // and this is all that had been flushed
  for (const auto& file : recovered) {
    const auto facts = facts_of(file.path);
    CHECK((facts.ended && facts.audio));
    CHECK(facts.samples == static_cast<std::int64_t>(file.next->value - 5000) * 960);
  }
  CHECK(read_file(folder / first + ".opus") == "there already");
  CHECK(names_in(folder / "") == std::vector<std::string>{first + "-2.opus", first + ".opus", second + ".opus",
                                                          "main-20261130T202000Z.opus.edge-11112222.part",
                                                          "main-20261130T202000Z.opus.stage-0a1b2c3d.part"});
  CHECK(store::recover(place).empty());
}

TEST_CASE("leftovers: one that was mended and not named yet is only named") {
  TemporaryDirectory folder;
  const RecordingPlace place{folder / "", "main", "stage", "0a1b2c3d"};
  std::string whole = recording(51);
  receive::OggScan scan;
  scan.add({reinterpret_cast<const std::uint8_t*>(whole.data()), whole.size()});
  const auto end = receive::ogg_end_page(scan.facts());
  whole.append(end.begin(), end.end());
  write_file(folder / "main-20261130T201500Z.opus.stage-11112222.part", whole);
  REQUIRE(store::recover(place).size() == 1);
  CHECK(read_file(folder / "main-20261130T201500Z.opus") == whole);
}

}  // namespace tiercast::leftovers_test
