#include "relay/store/origin_state.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "relay/base/exit_code.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::store::origin_state_test {
namespace {

namespace fs = std::filesystem;
constexpr GroupId kGroup{7};
constexpr SourceId kSource{2};

struct Folder {
  Folder() {
    std::string name = (fs::temp_directory_path() / "origin-state-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
    machine("0123456789abcdef0123456789abcdef\n");
    boot("01234567-89ab-cdef-0123-456789abcdef\n");
  }
  ~Folder() { fs::remove_all(path); }
  void machine(const std::string& id) const { std::ofstream(path / "machine-id") << id; }
  std::string state() const { return (path / "state").string(); }
  fs::path file() const { return path / "state" / "origin-7-2"; }
  void boot(const std::string& id) const { std::ofstream(path / "boot-id") << id; }
  auto open() const { return OriginState::open(state(), (path / "machine-id").string(), (path / "boot-id").string()); }
  std::string read() const {
    std::ifstream in(file(), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& bytes) const { std::ofstream(file(), std::ios::binary | std::ios::trunc) << bytes; }
  fs::path path;
};

SourceState example(bool with_current = true) {
  test::SeededRandom random{3};
  SourceState state;
  state.last = Sequence{0x123456789a};
  state.at = Time{1h};
  state.point = {20, Sequence{0x1234567890}, Time{59min}, 0x89abcdef, 0xfedcba98};
  state.epochs.highest = Epoch{1'700'000'900};
  publish::ScheduledEpoch epoch;
  for (std::uint32_t i = 0; i < 3; ++i) {
    epoch.number = Epoch{1'700'000'000 + i};
    epoch.made_unix_s = 1'700'000'000 + i;
    random.fill(epoch.value);
    if (i > 0)
      state.epochs.announced.push_back(epoch);
    else if (with_current)
      state.epochs.current = epoch;
  }
  return state;
}

void check_equal(const SourceState& a, const SourceState& b) {
  CHECK(a.last == b.last);
  CHECK(a.at == b.at);
  CHECK(a.point == b.point);
  CHECK(a.epochs.highest == b.epochs.highest);
  CHECK(a.epochs.current == b.epochs.current);
  REQUIRE(a.epochs.announced.size() == b.epochs.announced.size());
  for (std::size_t i = 0; i < a.epochs.announced.size(); ++i) CHECK(a.epochs.announced[i] == b.epochs.announced[i]);
}

TEST_CASE("what was saved is loaded, by another process too") {
  const Folder folder;
  for (const bool with_current : {true, false}) {
    {
      const auto store = folder.open();
      REQUIRE(store);
      REQUIRE(store->save(kGroup, kSource, example(with_current)));
      check_equal(store->load(kGroup, kSource)->state, example(with_current));
    }
    const auto store = folder.open();
    REQUIRE(store);
    const auto loaded = store->load(kGroup, kSource);
    REQUIRE(loaded);
    CHECK(loaded->warning.empty());
    check_equal(loaded->state, example(with_current));
  }
}

TEST_CASE("nothing stored is an empty state, for each source by itself") {
  const Folder folder;
  const auto store = folder.open();
  REQUIRE(store);
  REQUIRE(store->save(kGroup, kSource, example()));
  for (const auto& [group, source] : {std::pair{GroupId{7}, SourceId{1}}, std::pair{GroupId{8}, SourceId{2}}}) {
    const auto loaded = store->load(group, source);
    REQUIRE(loaded);
    CHECK(loaded->warning.empty());
    check_equal(loaded->state, SourceState{});
  }
}

TEST_CASE("only the owner can read the file, whatever the umask, and nothing is left aside") {
  const Folder folder;
  const mode_t before = ::umask(0);
  const auto store = folder.open();
  REQUIRE(store);
  std::ofstream(folder.state() + "/origin-7-2.new") << "left by a killed process";
  REQUIRE(store->save(kGroup, kSource, example()));
  ::umask(before);
  struct stat status {};
  REQUIRE(::stat(folder.file().c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0600);
  REQUIRE(::stat(folder.state().c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0700);
  CHECK_FALSE(fs::exists(folder.state() + "/origin-7-2.new"));
}

TEST_CASE("a second process is refused, and told who holds the directory, until the first is gone") {
  const Folder folder;
  {
    const auto first = folder.open();
    REQUIRE(first);
    const auto second = folder.open();
    REQUIRE_FALSE(second);
    CHECK(second.error().exit_code == ExitCode::unavailable);
    CHECK(second.error().text.find(folder.state()) == 0);
    CHECK(second.error().text.find("pid " + std::to_string(::getpid())) != std::string::npos);
  }
  CHECK(folder.open());
}

TEST_CASE("another machine's epochs are not used, its numbers and sequence are, and it is said") {
  const Folder folder;
  REQUIRE(folder.open()->save(kGroup, kSource, example()));
  folder.machine("ffffffffffffffffffffffffffffffff\n");
  const auto loaded = folder.open()->load(kGroup, kSource);
  REQUIRE(loaded);
  CHECK(loaded->warning.find("another machine") != std::string::npos);
  CHECK_FALSE(loaded->state.epochs.current);
  CHECK(loaded->state.epochs.announced.empty());
  CHECK(loaded->state.epochs.highest == example().epochs.highest);
  CHECK(loaded->state.last == example().last);
}

TEST_CASE("the monotonic clock of another boot, or of another machine, says nothing of when") {
  const Folder folder;
  REQUIRE(folder.open()->save(kGroup, kSource, example()));
  folder.boot("fffffff-89ab-cdef-0123-456789abcdef\n");
  SourceState expected = example();
  expected.at = kNever;
  check_equal(folder.open()->load(kGroup, kSource)->state, expected);
  folder.boot("01234567-89ab-cdef-0123-456789abcdef\n");
  check_equal(folder.open()->load(kGroup, kSource)->state, example());
  folder.machine("ffffffffffffffffffffffffffffffff\n");
  CHECK(folder.open()->load(kGroup, kSource)->state.at == kNever);
}

TEST_CASE("the machine's id does not stand in the file") {
  const Folder folder;
  REQUIRE(folder.open()->save(kGroup, kSource, example()));
  CHECK(folder.read().find("0123456789abcdef") == std::string::npos);
}

TEST_CASE("any changed byte, any missing or added one, is an error that names the file, and the file stays") {
  const Folder folder;
  const auto store = folder.open();
  REQUIRE(store);
  REQUIRE(store->save(kGroup, kSource, example()));
  const std::string good = folder.read();
  const auto check_refused = [&](const std::string& bytes) {
    folder.write(bytes);
    const auto loaded = store->load(kGroup, kSource);
    REQUIRE_FALSE(loaded);
    CHECK(loaded.error().exit_code == ExitCode::data);
    CHECK(loaded.error().text.find(folder.file().string()) == 0);
    CHECK(folder.read() == bytes);
  };
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x10);
    check_refused(bad);
  }
  for (std::size_t size : {std::size_t{0}, std::size_t{1}, good.size() / 2, good.size() - 1})
    check_refused(good.substr(0, size));
  check_refused(good + '\0');
  folder.write(good);
  CHECK(store->load(kGroup, kSource));
}

TEST_CASE("another source's file under this one's name is refused") {
  const Folder folder;
  const auto store = folder.open();
  REQUIRE(store);
  REQUIRE(store->save(GroupId{7}, SourceId{1}, example()));
  fs::rename(folder.state() + "/origin-7-1", folder.file());
  const auto loaded = store->load(kGroup, kSource);
  REQUIRE_FALSE(loaded);
  CHECK(loaded.error().text.find("another source") != std::string::npos);
}

TEST_CASE("values that would lead to a number twice are refused even with a good checksum") {
  const Folder folder;
  const auto store = folder.open();
  REQUIRE(store);
  const auto refused = [&](const SourceState& state) {
    REQUIRE(store->save(kGroup, kSource, state));
    return !store->load(kGroup, kSource);
  };
  SourceState state = example();
  state.epochs.highest = Epoch{1'700'000'001};
  CHECK(refused(state));
  state.epochs.highest = Epoch{1'700'000'002};
  CHECK_FALSE(refused(state));
  state = example();
  std::swap(state.epochs.announced[0], state.epochs.announced[1]);
  CHECK(refused(state));
  state = example();
  state.epochs.current->number = state.epochs.announced[0].number;
  CHECK(refused(state));
  state = example();
  state.epochs.highest = Epoch{0xffffffff};
  CHECK(refused(state));
  state = example();
  state.last = Sequence{(std::uint64_t{1} << 47) + 1};
  CHECK(refused(state));
  state = example();
  state.point.sequence = Sequence{(std::uint64_t{1} << 47) + 1};
  CHECK(refused(state));
  state = example();
  state.point.frame_ms = 0;
  CHECK(refused(state));
}

TEST_CASE("a file that others can read is refused, and so is what is no file") {
  const Folder folder;
  const auto store = folder.open();
  REQUIRE(store);
  REQUIRE(store->save(kGroup, kSource, example()));
  REQUIRE(::chmod(folder.file().c_str(), 0640) == 0);
  const auto loaded = store->load(kGroup, kSource);
  REQUIRE_FALSE(loaded);
  CHECK(loaded.error().exit_code == ExitCode::permission);
  CHECK(loaded.error().text.find("chmod 600") != std::string::npos);
  fs::remove(folder.file());
  REQUIRE(::mkfifo(folder.file().c_str(), 0600) == 0);
  CHECK_FALSE(store->load(kGroup, kSource));
  fs::remove(folder.file());
  fs::create_symlink("/dev/null", folder.file());
  CHECK_FALSE(store->load(kGroup, kSource));
}

TEST_CASE("a save that fails leaves the old state") {
  const Folder folder;
  const auto store = folder.open();
  REQUIRE(store);
  REQUIRE(store->save(kGroup, kSource, example()));
  fs::create_directory(folder.state() + "/origin-7-2.new");  // nothing can be written aside
  SourceState newer = example();
  newer.last = newer.last.plus(1000);
  const auto saved = store->save(kGroup, kSource, newer);
  REQUIRE_FALSE(saved);
  CHECK(saved.error().text.find("origin-7-2.new") != std::string::npos);
  check_equal(store->load(kGroup, kSource)->state, example());
}

TEST_CASE("a directory that cannot be had is an error that says so") {
  const auto store = OriginState::open("/proc/no/such/place", "/etc/machine-id");
  REQUIRE_FALSE(store);
  CHECK(store.error().text.find("/proc/no/such/place: ") == 0);
}

}  // namespace
}  // namespace tiercast::store::origin_state_test
