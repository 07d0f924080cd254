#include "relay/node/output_queue.hpp"

#include <doctest/doctest.h>

#include <deque>
#include <string>

#include "tests/support/counting_allocator.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::output_queue_test {

using namespace tiercast::test;
using node::OutputQueue;

namespace {

void push(OutputQueue& queue, const std::string& text, bool keep = false) {
  queue.push(Bytes{reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, keep);
}

std::string front(const OutputQueue& queue) { return {queue.front().begin(), queue.front().end()}; }

/// All that is left, in order.
std::string drain(OutputQueue& queue) {
  std::string out;
  while (!queue.empty()) {
    out += front(queue) + " ";
    CHECK(queue.take(queue.front().size()));
  }
  return out;
}

}  // namespace

TEST_CASE("output queue: pieces come out in order, in as many bites as it takes") {
  OutputQueue queue{4};
  push(queue, "one");
  push(queue, "two");
  CHECK(queue.size() == 2);
  CHECK_FALSE(queue.take(1));
  CHECK(front(queue) == "ne");
  CHECK_FALSE(queue.take(0));
  CHECK(queue.take(2));
  CHECK(front(queue) == "two");
  push(queue, "three");
  CHECK(drain(queue) == "two three ");
  CHECK(queue.dropped() == 0);
}

TEST_CASE("output queue: when it is full the oldest goes") {
  OutputQueue queue{3};
  for (const char* text : {"1", "2", "3", "4", "5"}) push(queue, text);
  CHECK(queue.size() == 3);
  CHECK(queue.dropped() == 2);
  CHECK(drain(queue) == "3 4 5 ");
}

TEST_CASE("output queue: what the reader has begun stays whole, and what must be kept stays") {
  OutputQueue queue{3};
  SUBCASE("begun") {
    for (const char* text : {"abc", "2", "3"}) push(queue, text);
    queue.take(1);
    for (const char* text : {"4", "5"}) push(queue, text);
    CHECK(drain(queue) == "bc 4 5 ");
    CHECK(queue.dropped() == 2);
  }
  SUBCASE("kept") {
    push(queue, "head", true);
    for (const char* text : {"2", "3", "4", "5"}) push(queue, text);
    CHECK(drain(queue) == "head 4 5 ");
    CHECK(queue.dropped() == 2);
  }
  SUBCASE("begun, then kept") {
    push(queue, "abc");
    push(queue, "head", true);
    queue.take(2);
    for (const char* text : {"3", "4"}) push(queue, text);
    CHECK(drain(queue) == "c head 4 ");
    CHECK(queue.dropped() == 1);
  }
  SUBCASE("nothing that could go") {
    for (const char* text : {"a", "b", "c", "d"}) push(queue, text, true);
    CHECK(drain(queue) == "a b c ");
    CHECK(queue.dropped() == 1);
  }
}

TEST_CASE("output queue: a queue of one keeps what is begun") {
  OutputQueue queue{0};
  push(queue, "ab");
  queue.take(1);
  push(queue, "c");
  CHECK(queue.size() == 1);
  CHECK(drain(queue) == "b ");
  push(queue, "d");
  push(queue, "e");
  CHECK(drain(queue) == "e ");
  CHECK(queue.dropped() == 2);
}

TEST_CASE("output queue: what nobody takes any more counts as dropped") {
  OutputQueue queue{4};
  for (const char* text : {"ab", "c", "d"}) push(queue, text);
  queue.take(1);
  queue.drop_all();
  CHECK(queue.empty());
  CHECK(queue.dropped() == 3);
  push(queue, "e");
  CHECK(drain(queue) == "e ");
}

TEST_CASE("output queue: every piece comes out whole and in order or is counted, and its bound holds") {
  SeededRandom random{5};
  OutputQueue queue{10};
  std::size_t pushed = 0, taken = 0;
  int last = -1;
  std::string begun;
  for (int i = 0; i < 20000; ++i) {
    if (random.u64() % 2 == 0) {
      push(queue, std::to_string(i) + std::string(random.u64() % 9, '.'));
      ++pushed;
    } else if (!queue.empty()) {
      const std::string rest = front(queue);
      const std::size_t bite = 1 + random.u64() % rest.size();
      begun += rest.substr(0, bite);
      if (queue.take(bite)) {
        const int number = std::stoi(begun);
        REQUIRE(number > last);
        last = number;
        begun.clear();
        ++taken;
      }
    }
    REQUIRE(queue.size() <= 10);
    REQUIRE(pushed == taken + queue.size() + queue.dropped());
  }
  CHECK(queue.dropped() > 100);
}

TEST_CASE("output queue: once every place has been used nothing is allocated") {
  OutputQueue queue{8};
  const std::vector<std::uint8_t> piece(3840);
  for (int i = 0; i < 8; ++i) queue.push(piece, false);
  AllocationCount allocations;
  for (int i = 0; i < 100; ++i) {
    queue.push(piece, false);
    if (i % 3 == 0) queue.take(1000);
    if (i % 7 == 0) queue.take(queue.front().size());
  }
  const std::uint64_t count = allocations.count();
  CHECK(count == 0);
}

}  // namespace tiercast::output_queue_test
