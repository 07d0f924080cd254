// The whole player of samples in virtual time: a sender's clock, ours and a sound card's, all different.
#include "relay/receive/reader_pace.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "tests/receive/jitter_rig.hpp"

namespace tiercast::reader_pace_test {

using namespace tiercast::test;
using receive::Prefill;
using receive::ReaderPace;
using Counters = receive::JitterBufferCounters;

namespace {

/// A player as aplay is: it reads whole chunks, begins when its buffer is full, and then plays by its card's clock.
class Card {
 public:
  explicit Card(double ppm, Duration buffer = 500ms, Duration chunk = 125ms)
      : ppm_(ppm), buffer_(buffer), chunk_(chunk) {}
  void write(Duration sound) { pipe_ += sound; }
  Duration backlog() const { return pipe_; }
  void go_to(Time now) {
    if (playing_) {
      left_ -= Duration{std::llround(static_cast<double>((now - last_).count()) * (1 + ppm_ * 1e-6))};
      if (left_ < Duration{0}) {
        ++holes;
        playing_ = false;
        left_ = Duration{0};
      }
    }
    last_ = now;
    while (true) {
      const Duration taken = std::min(pipe_, chunk_ - half_read_);
      pipe_ -= taken;
      half_read_ += taken;
      if (half_read_ < chunk_ || left_ + chunk_ > buffer_) break;
      left_ += chunk_;
      half_read_ = Duration{0};
      if (left_ + chunk_ > buffer_) playing_ = true;
    }
    most = std::max(most, left_ + half_read_ + pipe_);
  }
  int holes = 0;
  Duration most{0};  // that was between the pipe's start and the loudspeaker

 private:
  const double ppm_;
  const Duration buffer_, chunk_;
  Duration pipe_{0}, half_read_{0}, left_{0};
  bool playing_ = false;
  Time last_;
};

void prefill(Card& card, Time& now, Duration span) {
  Prefill fill{now};
  for (const Time until = now + span; now < until; now += Prefill::kLook) {
    card.go_to(now);
    card.write(fill.more(card.backlog(), now));
  }
  CHECK(fill.done());
}

}  // namespace

TEST_CASE("reader pace: a player's buffer is filled with silence, and there is a reserve behind it") {
  Card card{0};
  Time now = at(0ms);
  prefill(card, now, 700ms);
  CHECK(card.most >= 625ms);
  CHECK(card.most <= 625ms + Prefill::kReserve + 40ms);
  prefill(card, now, 5s);  // and stays so until the first word
  CHECK(card.holes == 0);
}

TEST_CASE("reader pace: who takes all there is gets that much and no more, who reads nothing is not waited for") {
  Prefill greedy{at(0ms)};
  Duration given{0};
  for (int i = 0; i < 1000 && !greedy.done(); ++i) given += greedy.more(Duration{0}, at(2ms * i));
  CHECK(greedy.done());
  CHECK(given >= Prefill::kMost);
  CHECK(given <= Prefill::kMost + 100ms);
  Prefill asleep{at(0ms)};
  Duration waits = asleep.more(Duration{0}, at(0ms));
  CHECK(waits == Prefill::kReserve);
  for (int i = 0; i < 1100 && !asleep.done(); ++i) waits += asleep.more(waits, at(2ms * i));
  CHECK(asleep.done());
  CHECK(waits == Prefill::kReserve);
}

TEST_CASE("reader pace: hours with a card and a sender that are 200 ppm off either way: no hole, no growing delay") {
  for (const double card_ppm : {200.0, -200.0})
    for (const double sender_ppm : {200.0, -200.0}) {
      CAPTURE(card_ppm);
      CAPTURE(sender_ppm);
      Card card{card_ppm};
      ReaderPace pace;
      JitterRig rig;
      prefill(card, rig.now, 760ms);
      card.write(60ms);  // the first word's delay
      card.most = Duration{0};
      rig.pace = [&](Duration sound) {
        card.go_to(rig.now);
        pace.on_backlog(card.backlog(), rig.now);
        card.write(sound);
        return pace.pace();
      };
      rig.run(
          30s, [](std::uint64_t) { return 700ms; }, sender_ppm);
      rig.forget();
      rig.run(
          2h, [](std::uint64_t) { return 700ms; }, sender_ppm);
      CHECK(pace.paced());
      CHECK(card.holes == 0);
      CHECK(card.most < 500ms + 125ms + 200ms);
      CHECK(rig.whole());
      CHECK(rig.since(&Counters::concealed) == 0);
      CHECK(rig.since(&Counters::inserted) == 0);
      CHECK(rig.shortest >= 40ms);
      CHECK(rig.longest <= 80ms);
    }
}

TEST_CASE("reader pace: one without a pace of its own is written to by our clock; one that has stopped too") {
  ReaderPace greedy, asleep;
  Duration waits{0};
  for (int i = 0; i < 3000; ++i) {
    greedy.on_backlog(Duration{0}, at(20ms * i));
    asleep.on_backlog(waits, at(20ms * i));
    waits += 20ms;
    REQUIRE(greedy.pace() == 0);
    if (waits > 4 * ReaderPace::kAsleep) REQUIRE(asleep.pace() == 0);
  }
  CHECK_FALSE(greedy.paced());
}

TEST_CASE("reader pace: one that was paced and then takes all there is costs a second of delay, no more") {
  ReaderPace pace;
  double ahead = 0;
  for (int i = 0; i < 1000; ++i) pace.on_backlog(Prefill::kReserve, at(20ms * i));
  CHECK(pace.paced());
  for (int i = 1000; i < 100'000; ++i) {
    pace.on_backlog(Duration{0}, at(20ms * i));
    ahead -= pace.pace() * 0.02;
  }
  CHECK_FALSE(pace.paced());
  CHECK(ahead <= 1.1);
}

}  // namespace tiercast::reader_pace_test
