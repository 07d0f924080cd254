#include "relay/store/recording.hpp"

#include <doctest/doctest.h>

#include <filesystem>

#include "relay/base/exit_code.hpp"
#include "tests/cli/temporary_directory.hpp"

using namespace tiercast;

TEST_CASE("a recording makes its folder, but not a whole path of folders") {
  auto loop = net::Loop::create();
  REQUIRE(loop);
  test::TemporaryDirectory folder;
  const auto made = store::Recording::create(*loop, (folder / "recordings"), "main", WallTime{});
  REQUIRE(made);
  CHECK((*made)->path() == (folder / "recordings") + "/main-19700101T000000Z.opus");
  CHECK(std::filesystem::exists((*made)->path()));
  const auto again = store::Recording::create(*loop, (folder / "recordings"), "main", WallTime{});
  REQUIRE(again);
  CHECK((*again)->path() == (folder / "recordings") + "/main-19700101T000000Z-2.opus");
  const auto refused = store::Recording::create(*loop, (folder / "mistyped/recordings"), "main", WallTime{});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().exit_code == ExitCode::cannot_create);
  CHECK_FALSE(std::filesystem::exists((folder / "mistyped")));
}
