#include "relay/control/epoch_question.hpp"

#include <doctest/doctest.h>

namespace tiercast::epoch_question_test {

using namespace std::chrono_literals;

namespace {

/// With a frame every 20 ms: when it asked, after `from`.
std::vector<Duration> asked(control::EpochQuestion& question, Time from, Duration length) {
  std::vector<Duration> out;
  for (Duration t{}; t < length; t += 20ms)
    if (question.due(from + t)) out.push_back(t);
  return out;
}

}  // namespace

TEST_CASE("an unknown epoch is asked for at once, soon again, and then ever more seldom, every 2 s at most") {
  control::EpochQuestion question;
  const Time begin{3s};
  CHECK(asked(question, begin, 8s) == std::vector<Duration>{0ms, 100ms, 300ms, 700ms, 1500ms, 3100ms, 5100ms, 7100ms});
  // Made-up epochs with pauses between them: no more often for that.
  CHECK(asked(question, begin + 9s, 20ms).empty());
  CHECK(asked(question, begin + 12s, 200ms) == std::vector<Duration>{0ms});
  CHECK(asked(question, begin + 30s, 200ms) == std::vector<Duration>{0ms, 100ms});
}

TEST_CASE("after an epoch was learned the next one is asked for at once") {
  control::EpochQuestion question;
  asked(question, Time{3s}, 8s);
  question.answered();
  CHECK(asked(question, Time{11s}, 200ms) == std::vector<Duration>{0ms, 100ms});
}

}  // namespace tiercast::epoch_question_test
