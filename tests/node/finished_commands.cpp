#include "relay/node/finished_commands.hpp"

#include <doctest/doctest.h>

#include <thread>

#include "tests/cli/temporary_directory.hpp"

namespace tiercast::finished_commands_test {

using node::FinishedCommands;

namespace {

struct Rig {
  Rig() {
    auto made = FinishedCommands::create();
    REQUIRE(made);
    commands = std::move(*made);
  }
  void run(const std::string& script) {
    commands->run({{"/bin/sh", "-c", script, "sh", "an argument"}, folder / "talk.opus", "main", "stage", "end"});
  }
  template <class Done>
  bool until(Done done) {
    for (int i = 0; i < 500 && !done(); ++i) std::this_thread::sleep_for(20ms);
    return done();
  }
  test::TemporaryDirectory folder;
  std::unique_ptr<FinishedCommands> commands;
};

}  // namespace

TEST_CASE("finished commands: the program gets its arguments, the file, a plain environment, and nothing else") {
  Rig rig;
  const std::string said = rig.folder / "said";
  const int open = ::open("/dev/null", O_RDONLY);  // without close-on-exec
  rig.run("{ echo \"$1,$2\"; env | sort; echo /proc/self/fd/*; cat; grep -E '^Sig(Blk|Ign)' /proc/self/status; } > " +
          said + ".new && mv " + said + ".new " + said);
  REQUIRE(rig.until([&] { return std::filesystem::exists(said); }));
  ::close(open);
  const std::string text = test::read_file(said);
  CAPTURE(text);
  CHECK(text.starts_with("an argument," + (rig.folder / "talk.opus") + "\n"));
  for (const char* line :
       {"\nTIERCAST_GROUP=main\n", "\nTIERCAST_NODE=stage\n", "\nTIERCAST_WHY=end\n", "\nPATH=/usr/local/sbin:"})
    CHECK(text.find(line) != std::string::npos);
  CHECK(text.find("HOME=") == std::string::npos);
  CHECK(text.find("/proc/self/fd/" + std::to_string(open)) == std::string::npos);
  CHECK(text.find("SigBlk:\t0000000000000000\n") != std::string::npos);
  const auto ignored = text.find("SigIgn:\t");
  REQUIRE(ignored != std::string::npos);
  CHECK((std::stoull(text.substr(ignored + 8), nullptr, 16) & 0x7fff'ffff) == 0);  // but two that are glibc's own
  CHECK(rig.until([&] { return rig.commands->counters().started.get() == 1; }));   // counted behind its start
}

TEST_CASE("finished commands: what fails or cannot be run is counted, and a few run at once") {
  Rig rig;
  rig.run("exit 3");
  rig.commands->run({{"/no/such/program"}, "file", "main", "stage", "end"});
  REQUIRE(rig.until([&] { return rig.commands->counters().failed.get() == 2; }));
  CHECK(rig.commands->counters().started.get() == 1);
  const std::string go = rig.folder / "go";
  for (int i = 0; i < 10; ++i) rig.run("while [ ! -e " + go + " ]; do sleep 0.02; done");
  REQUIRE(rig.until([&] { return rig.commands->counters().started.get() == 1 + FinishedCommands::kAtOnce; }));
  std::this_thread::sleep_for(50ms);
  CHECK(rig.commands->counters().started.get() == 1 + FinishedCommands::kAtOnce);
  test::write_file(go, "");
  REQUIRE(rig.until([&] { return rig.commands->counters().started.get() == 11; }));
  CHECK(rig.commands->counters().failed.get() == 2);
}

TEST_CASE("finished commands: what waits at the end is started, and is not waited for long") {
  Rig rig;
  const std::string done = rig.folder / "done";
  rig.run("sleep 0.1; echo > " + done);
  rig.commands.reset();
  CHECK(std::filesystem::exists(done));
}

}  // namespace tiercast::finished_commands_test
