#include "relay/store/recording.hpp"

#include <doctest/doctest.h>

#include <filesystem>

#include "relay/base/exit_code.hpp"
#include "tests/cli/temporary_directory.hpp"
#include "tests/net/sockets.hpp"

namespace tiercast::recording_test {

using receive::FinishedBy;
using store::Recording;
using store::RecordingPlace;

namespace {

constexpr WallTime kStart{0us};

Bytes bytes(const std::string& text) { return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}; }

struct Rig {
  Rig() : loop(test::make_loop()) { open(); }
  void open() {
    auto made = Recording::create(loop, place, [this](const Recording::Finished& file) { finished.push_back(file); });
    REQUIRE(made);
    recording = std::move(*made);
  }
  template <class Done>
  bool until(Done done, Duration patience = 5s) {
    const Time end = net::read_clocks().mono + patience;
    while (!done()) {
      const Time now = net::read_clocks().mono;
      if (now > end) return false;
      recording->on_timer(now);
      loop.turn(std::min({recording->next_deadline(), now + 20ms, end}), 16);
    }
    return true;
  }
  bool settle() {
    return until([&] { return recording->settled(); });
  }
  std::string part(const std::string& name) { return place.directory + "/" + name + place.part_suffix(); }

  test::TemporaryDirectory folder;
  net::Loop loop;
  RecordingPlace place{folder / "recordings", "main", "stage", "0a1b2c3d"};
  std::vector<Recording::Finished> finished;
  std::unique_ptr<Recording> recording;
};

}  // namespace

TEST_CASE("a recording makes its folder, but not a whole path of folders") {
  Rig rig;
  CHECK(std::filesystem::is_directory(rig.folder / "recordings"));
  for (const std::string& wrong : {rig.folder / "mistyped/recordings", test::write_file(rig.folder / "file", "")}) {
    const auto refused = Recording::create(rig.loop, {wrong, "main", "stage", "0a1b2c3d"});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().exit_code == ExitCode::cannot_create);
  }
  CHECK_FALSE(std::filesystem::exists(rig.folder / "mistyped"));
}

TEST_CASE("a recording has its name once it is finished, never over another file") {
  Rig rig;
  const std::string name = rig.folder / "recordings/main-19700101T000000Z";
  test::write_file(name + ".opus", "somebody's");
  for (int n = 0; n < 2; ++n) {
    REQUIRE(rig.recording->begin(kStart, {}, 20ms));
    REQUIRE(rig.recording->append(bytes("first ")));
    REQUIRE(rig.until([&] { return std::filesystem::exists(rig.part("main-19700101T000000Z")); }));
    REQUIRE(rig.recording->append(bytes("second")));
    CHECK_FALSE(rig.recording->settled());
    rig.recording->finish(FinishedBy::end);
    CHECK(rig.recording->health().file == "");
    REQUIRE(rig.settle());
  }
  CHECK(test::read_file(name + ".opus") == "somebody's");
  CHECK(test::read_file(name + "-2.opus") == "first second");
  CHECK(test::read_file(name + "-3.opus") == "first second");
  REQUIRE(rig.finished.size() == 2);
  CHECK(rig.finished[1].path == name + "-3.opus");
  CHECK(rig.finished[1].why == FinishedBy::end);
  CHECK(rig.recording->counters().files.get() == 2);
  CHECK(rig.recording->counters().bytes.get() == 24);
  CHECK(rig.recording->counters().syncs.get() >= 2);
  CHECK(std::distance(std::filesystem::directory_iterator{rig.place.directory}, {}) == 3);
}

TEST_CASE("a recording that cannot be written waits, says so, and is whole when it can") {
  Rig rig;
  std::filesystem::remove(rig.place.directory);
  REQUIRE(rig.recording->begin(kStart, {}, 20ms));
  for (int i = 0; i < 10; ++i) REQUIRE(rig.recording->append(bytes("page ")));
  REQUIRE(rig.until([&] { return !rig.recording->health().problem.empty(); }));
  CHECK(rig.recording->health().problem.find("No such file or directory; make the directory") != std::string::npos);
  CHECK(rig.recording->health().waiting == 50);
  CHECK(rig.recording->counters().errors.get() >= 1);
  std::filesystem::create_directory(rig.place.directory);
  REQUIRE(rig.until([&] { return rig.recording->health().waiting == 0; }));
  CHECK(rig.recording->health().problem == "");
  rig.recording->finish(FinishedBy::stop);
  REQUIRE(rig.settle());
  CHECK(test::read_file(rig.finished.at(0).path).size() == 50);
}

TEST_CASE("what a disk does not take has a bound: so much, then the file is finished, and another one only with room") {
  Rig rig;
  std::filesystem::remove(rig.place.directory);
  REQUIRE(rig.recording->begin(kStart, {}, 20ms));
  const std::string page(64 << 10, 'p');
  std::size_t taken = 1;
  while (rig.recording->append(bytes(page))) REQUIRE(++taken < 100);
  CHECK(taken * page.size() == Recording::kQueue);
  REQUIRE_FALSE(rig.recording->append(bytes("end")));
  rig.recording->finish(FinishedBy::disk);
  CHECK_FALSE(rig.recording->begin(kStart, {}, 20ms));
  std::filesystem::create_directory(rig.place.directory);
  REQUIRE(rig.settle());
  CHECK(std::filesystem::file_size(rig.finished.at(0).path) == taken * page.size() + 3);
  CHECK(rig.recording->begin(kStart, {}, 20ms));
  rig.recording->finish(FinishedBy::stop);
  REQUIRE(rig.settle());
}

TEST_CASE("a few files may wait for the disk, not any number") {
  Rig rig;
  for (std::size_t n = 0; n < Recording::kMostFiles; ++n) {
    REQUIRE(rig.recording->begin(kStart, {}, 20ms));
    rig.recording->append(bytes(std::to_string(n)));
    rig.recording->finish(FinishedBy::end);
  }
  CHECK_FALSE(rig.recording->begin(kStart, {}, 20ms));
  REQUIRE(rig.settle());
  CHECK(rig.finished.size() == Recording::kMostFiles);
  for (const auto& file : rig.finished) CHECK(test::read_file(file.path).size() == 1);
}

TEST_CASE("a recording that goes away before its bytes have gone harms nobody") {
  Rig rig;
  REQUIRE(rig.recording->begin(kStart, {}, 20ms));
  rig.recording->append(bytes("page"));
  rig.recording.reset();
  for (int i = 0; i < 20; ++i) rig.loop.turn(net::read_clocks().mono + 5ms, 16);
  rig.open();
  CHECK(rig.recording->settled());
}

}  // namespace tiercast::recording_test
