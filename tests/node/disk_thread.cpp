#include "relay/node/disk_thread.hpp"

#include <doctest/doctest.h>

#include <semaphore>

namespace tiercast::disk_thread_test {

using namespace tiercast::node;

TEST_CASE("slow jobs are done one after the other, and the bell tells of them") {
  auto bell = net::Wake::create();
  REQUIRE(bell);
  std::vector<int> done;
  DiskThread<int, int> thread{"squares", AtEnd::done, **bell, [](int n) { return n * n; }};
  for (int n = 0; n < 100; ++n) thread.add(n);
  while (done.size() < 100)
    for (const int square : thread.take_done()) done.push_back(square);
  for (int n = 0; n < 100; ++n) CHECK(done[static_cast<std::size_t>(n)] == n * n);
  CHECK(thread.take_done().empty());
}

TEST_CASE("what waits at the end is done or left, as was asked for") {
  auto bell = net::Wake::create();
  REQUIRE(bell);
  for (const auto& [at_end, expected] : {std::pair{AtEnd::done, 10}, {AtEnd::left, 1}}) {
    int count = 0;
    std::binary_semaphore begun{0}, go_on{0};
    {
      DiskThread<int, int> thread{"slow", at_end, **bell, [&](int) {
                                    if (count++ == 0) {
                                      begun.release();
                                      go_on.acquire();
                                    }
                                    return 0;
                                  }};
      for (int n = 0; n < 10; ++n) thread.add(n);
      begun.acquire();
      thread.end();
      go_on.release();
    }
    CHECK(count == expected);
  }
}

}  // namespace tiercast::disk_thread_test
