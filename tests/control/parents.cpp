// Whom a child has live, warm and cold, told from nothing but what each parent is good for.
#include "relay/control/parents.hpp"

#include <doctest/doctest.h>

#include "tests/support/seeded_random.hpp"

namespace tiercast::parents_test {

using namespace tiercast::control;

namespace {

using View = Parents::View;

// Parents that answer as the test says: `up` joins within 30 ms, and brings frames 10 ms after it is wanted live.
struct Rig {
  explicit Rig(std::size_t count, std::size_t live, bool relay = true, std::uint64_t seed = 1)
      : random(seed),
        choice({.live = live, .relay = relay}, random),
        up(count, true),
        starved(count, false),
        leaving(count, false),
        states(count) {
    for (std::size_t p = 0; p < count; ++p) {
      choice.add();
      round_trip.push_back(10ms);
      loss.push_back(0);
    }
    settle();
  }

  struct State {
    bool leased = false;
    Time ready{};  // the join is done, or the first frame here
    Duty duty = Duty::cold;
  };

  View view(std::size_t p) const {
    const State& s = states[p];
    Health health = Health::good;
    if (!s.leased) {
      health = Health::gone;
    } else if (!up[p]) {
      health = Health::failed;
    } else if (starved[p]) {
      health = Health::starved;
    } else if (s.duty == Duty::live && now < s.ready) {
      health = Health::coming;
    }
    return {health, round_trip[p], loss[p], false, leaving[p]};
  }

  void settle() {
    for (int again = 0; again < 2; ++again) {
      for (std::size_t p = 0; p < states.size(); ++p) {
        State& s = states[p];
        if (s.duty != Duty::cold && !s.leased && up[p] && now >= s.ready) {
          s.leased = true;
          ++joins;
        }
      }
      std::vector<View> views;
      for (std::size_t p = 0; p < states.size(); ++p) views.push_back(view(p));
      choice.choose(views, now);
      for (std::size_t p = 0; p < states.size(); ++p) {
        State& s = states[p];
        if (s.duty == choice.duty(p)) continue;
        ++changes;
        if (choice.duty(p) == Duty::live) taken.push_back(p);
        s.duty = choice.duty(p);
        s.ready = now + (s.leased ? 10ms : 30ms);
        if (s.duty == Duty::cold) s.leased = false;
      }
    }
  }

  void run(Duration d) {
    const Time end = now + d;
    while (now < end) {
      now = std::min(end, std::max(now + 1ms, std::min(choice.next_deadline(), now + 5ms)));
      settle();
      std::size_t feeding = 0;
      for (std::size_t p = 0; p < states.size(); ++p)
        feeding += choice.duty(p) == Duty::live && view(p).health == Health::good ? 1 : 0;
      if (feeding == 0) hungry += 5ms;
      most_live =
          std::max(most_live, static_cast<std::size_t>(std::count_if(
                                  states.begin(), states.end(), [](const State& s) { return s.duty == Duty::live; })));
    }
  }

  std::string duties() const {
    std::string out;
    for (std::size_t p = 0; p < states.size(); ++p)
      out += choice.duty(p) == Duty::live ? 'L' : choice.duty(p) == Duty::warm ? 'w' : '-';
    return out;
  }

  test::SeededRandom random;
  Parents choice;
  std::vector<bool> up, starved, leaving;
  std::vector<Duration> round_trip;
  std::vector<double> loss;
  std::vector<State> states;
  std::vector<std::size_t> taken;
  Time now{100s};
  int changes = 0, joins = 0;
  std::size_t most_live = 0;
  Duration hungry{};
};

}  // namespace

TEST_CASE("parents: the first ones are live at once, one stands by soon, the others cost nothing") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Rig relay{5, 2, true, seed};
    CHECK(relay.duties() == "LL---");
    relay.run(1s);
    CHECK(relay.duties() == "LLw--");
    Rig listener{3, 1, false, seed};
    listener.run(1400ms);
    CHECK(listener.duties() == "L--");  // not while everybody joins
    listener.run(4s);
    CHECK(listener.duties() == "Lw-");
    CHECK(listener.joins == 2);
  }
}

TEST_CASE("parents: fewer than wanted are all live") {
  Rig one{1, 2};
  one.run(10s);
  CHECK(one.duties() == "L");
  one.up[0] = false;
  one.run(60s);
  CHECK(one.duties() == "L");  // Parent itself seeks it
  one.up[0] = true;
  one.run(1s);
  CHECK(one.duties() == "L");
}

TEST_CASE("parents: for the only live one that fails the standby is taken up within 20 ms, and another one stands by") {
  Duration longest{};
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Rig rig{3, 1, true, seed};
    rig.run(10s);
    rig.up[0] = false;
    const Time failed = rig.now;
    rig.taken.clear();
    while (rig.taken.empty()) rig.run(1ms);
    longest = std::max(longest, rig.now - failed);
    CHECK(rig.taken.front() == 1);
    CHECK(rig.now - failed <= 21ms);
    rig.run(5s);
    CHECK(rig.duties() == "wLw");  // the first is sought still
    CHECK(rig.choice.counters().replaced.get() == 1);
  }
  CHECK(longest > 10ms);  // not all at once
}

TEST_CASE("parents: of two live ones one fails: the other goes on, and a standby takes its place without haste") {
  Rig rig{4, 2};
  rig.run(10s);
  rig.hungry = {};
  rig.up[1] = false;
  rig.run(5s);
  CHECK(rig.duties() == "LwLw");
  CHECK(rig.hungry == Duration{});
}

TEST_CASE("parents: the old order comes back when the first one has been good for ten seconds, without a gap") {
  Rig rig{3, 1};
  rig.run(10s);
  rig.up[0] = false;
  rig.run(5s);
  rig.hungry = {};
  rig.up[0] = true;
  rig.run(9s);
  CHECK(rig.duties() == "wLw");
  rig.run(3s);
  CHECK(rig.duties() == "Lw-");
  CHECK(rig.hungry == Duration{});
  CHECK(rig.most_live == 2);
  CHECK(rig.choice.counters().restored.get() == 1);
}

TEST_CASE("parents: one that comes and goes is given less and less to do") {
  Rig rig{2, 1};
  rig.run(10s);
  rig.changes = 0;
  for (int i = 0; i < 300; ++i) {  // an hour
    rig.up[0] = false;
    rig.run(1s);
    rig.up[0] = true;
    rig.run(11s);
  }
  CHECK(rig.choice.counters().restored.get() <= 1);
  CHECK(rig.changes <= 8);
  // When it has been good for longer than that, it is the first again.
  rig.run(330s);
  CHECK(rig.duties() == "Lw");
}

TEST_CASE("parents: two that fail in turns are not changed more often than they fail") {
  Rig rig{2, 1};
  rig.run(10s);
  for (int i = 0; i < 50; ++i) {
    rig.up[static_cast<std::size_t>(i % 2)] = false;
    rig.run(2s);
    rig.up[static_cast<std::size_t>(i % 2)] = true;
    rig.run(2s);
  }
  CHECK(rig.taken.size() <= 1 + 50);
}

TEST_CASE("parents: one that loses much for ten seconds is exchanged for a standby, and not taken back before long") {
  Rig rig{3, 1};
  rig.run(10s);
  rig.hungry = {};
  rig.loss[0] = 0.05;
  rig.run(9s);
  CHECK(rig.duties() == "Lw-");
  rig.run(3s);
  CHECK(rig.duties() == "wL-");
  CHECK(rig.choice.counters().exchanged.get() == 1);
  rig.run(60s);
  CHECK(rig.duties() == "wL-");  // its loss is remembered
  rig.loss[0] = 0.005;
  rig.run(3s);
  CHECK(rig.duties() == "Lw-");
  CHECK(rig.hungry == Duration{});
}

TEST_CASE("parents: a little worse, or much worse for a moment, is not worth a change") {
  Rig rig{3, 2};
  rig.run(10s);
  rig.changes = 0;
  for (int i = 0; i < 100; ++i) {
    rig.round_trip[0] = i % 2 == 0 ? 35ms : 10ms;
    rig.loss[1] = i % 3 == 0 ? 0.2 : 0.0;
    rig.run(9s);
    rig.loss[1] = 0;
    rig.run(1s);
  }
  CHECK(rig.changes == 0);
}

TEST_CASE("parents: when all lose alike, one change shows that, and then there is calm") {
  Rig rig{3, 1};
  rig.run(10s);
  rig.changes = 0;
  rig.hungry = {};
  for (int second = 0; second < 3600; ++second) {
    for (std::size_t p = 0; p < 3; ++p) {
      if (rig.choice.duty(p) == Duty::live) {
        rig.loss[p] += (0.1 - rig.loss[p]) / 10;
      } else {
        rig.loss[p] *= 1 - 1.0 / 120;
      }
    }
    rig.run(1s);
  }
  CHECK(rig.choice.counters().exchanged.get() <= 40);
  CHECK(rig.hungry == Duration{});
}

TEST_CASE("parents: below a dead origin hardly anybody joins anybody; a warm one is tried at most") {
  Rig rig{5, 2};
  rig.run(10s);
  REQUIRE(rig.duties() == "LLw--");
  const int joins = rig.joins;
  for (std::size_t p = 0; p < 5; ++p) rig.starved[p] = true;
  rig.run(20s);
  CHECK(rig.joins == joins);
  CHECK(rig.changes <= 4);
  CHECK(rig.duties() == "LLw--");
  rig.run(580s);
  CHECK(rig.joins <= joins + 5);
  rig.run(3600s);
  CHECK(rig.joins <= joins + 5 + 18);
  CHECK(rig.changes <= 4 + 2 * 23);
  CHECK(rig.most_live == 2);  // all know at once here
  // The standby does not know yet.
  rig.starved[2] = false;
  rig.run(100ms);
  rig.starved[2] = true;
  const int before = rig.joins;
  rig.run(600s);
  CHECK(rig.joins <= before + 6);
  for (std::size_t p = 0; p < 5; ++p) rig.starved[p] = false;
  rig.run(30s);
  CHECK(rig.duties() == "LLw--");
}

TEST_CASE("parents: live ones that have nothing for long, and a standby likewise, are not all that there is") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    for (const bool relay : {true, false}) {
      Rig rig{6, 2, relay, seed};
      rig.run(10s);
      REQUIRE(rig.duties() == "LLw---");
      for (std::size_t p = 0; p < 5; ++p) rig.starved[p] = true;  // all but the last
      const Time since = rig.now;
      rig.run(19s);
      CHECK(rig.joins == 3);
      rig.run(22s);
      CHECK(rig.joins == 4);  // one of them, in vain
      CHECK(rig.duties() == "LLww--");
      while (rig.choice.duty(5) != Duty::live && rig.now < since + 400s) rig.run(100ms);
      CHECK(rig.joins == 6);
      CHECK(rig.now < since + 290s);
      CHECK(rig.choice.duty(3) == Duty::cold);
      rig.run(1s);
      CHECK(rig.view(5).health == Health::good);
      for (std::size_t p = 0; p < 5; ++p) rig.starved[p] = false;
      rig.run(60s);
      CHECK(rig.duties() == "LLw---");
    }
  }
}

TEST_CASE("parents: one that was joined to see whether it has something is given time to say that it has not") {
  Rig rig{3, 1};
  rig.run(10s);
  rig.starved[0] = rig.starved[1] = true;
  while (rig.choice.duty(2) == Duty::cold && rig.now < Time{100s} + 60s) rig.run(10ms);
  REQUIRE(rig.choice.duty(2) == Duty::warm);
  const Time joined = rig.now;
  rig.run(1s);  // an acknowledgement that it seeks, and what seeking is given
  rig.starved[2] = true;
  rig.run(5s);
  CHECK(std::find(rig.taken.begin(), rig.taken.end(), 2) == rig.taken.end());
  rig.starved[2] = false;  // and now it has
  while (rig.choice.duty(2) != Duty::live && rig.now < joined + 20s) rig.run(10ms);
  CHECK(rig.now < joined + 6s + Parents::kHasInput + 100ms);
}

TEST_CASE("parents: a standby that had nothing a moment ago is better than joining another") {
  Rig rig{3, 1, false};
  rig.run(10s);
  rig.starved[1] = true;
  rig.up[0] = false;
  rig.taken.clear();
  rig.run(25ms);
  REQUIRE(rig.taken.size() == 1);
  CHECK(rig.taken[0] == 1);
}

TEST_CASE("parents: one that has nothing is not left while it seeks, unless a standby has something") {
  Rig rig{2, 1};
  rig.run(10s);
  rig.starved[0] = true;
  rig.run(100ms);
  CHECK(rig.duties() == "LL");
  rig.run(1s);
  CHECK(rig.duties() == "wL");
  rig.starved[0] = false;
  rig.run(12s);
  CHECK(rig.duties() == "Lw");
}

TEST_CASE("parents: a standby that never answers is not waited for, and one that does is not let go of for it") {
  Rig rig{4, 1};
  rig.up[1] = false;
  rig.run(20s);
  CHECK(rig.states[2].leased);
  CHECK(rig.choice.duty(2) == Duty::warm);
  for (int i = 0; i < 600; ++i) {
    rig.run(1s);
    CHECK(rig.states[2].leased);
    CHECK(rig.choice.duty(3) == Duty::cold);
  }
  CHECK(rig.changes < 40);
}

TEST_CASE("parents: without a standby the next one is joined, and after that the one after") {
  Rig rig{3, 1, false};
  rig.up[0] = rig.up[1] = false;
  rig.run(4s);
  CHECK(rig.choice.duty(2) == Duty::live);
  CHECK(rig.states[2].leased);
}

TEST_CASE("parents: one that leaves is replaced and left alone; one that goes takes its place with it") {
  Rig rig{3, 1};
  rig.run(10s);
  rig.choice.set_leaving(0, true);
  rig.run(1s);
  CHECK(rig.duties() == "LLw");
  rig.choice.remove(0);
  rig.states.erase(rig.states.begin());
  rig.run(1s);
  CHECK(rig.duties() == "Lw");
}

TEST_CASE("parents: one that says it will stop counts no more, is not blamed, and takes its place again") {
  Rig rig{3, 1};
  rig.run(10s);
  rig.hungry = {};
  rig.leaving[0] = true;
  rig.run(30ms);
  CHECK(rig.duties() == "LL-");  // the standby at once, and what it brings meanwhile is welcome
  rig.run(1s);
  CHECK(rig.duties() == "LLw");
  CHECK(rig.hungry == Duration{});
  rig.up[0] = false;  // it has stopped
  rig.run(3s);
  CHECK(rig.choice.duty(1) == Duty::live);
  rig.leaving[0] = false;
  rig.up[0] = true;
  rig.run(20s);
  CHECK(rig.duties() == "Lw-");
  CHECK(rig.choice.counters().exchanged.get() == 0);
  rig.leaving[1] = true;  // a standby
  rig.run(3s);
  CHECK(rig.duties() == "Lww");
  CHECK(rig.hungry == Duration{});
}

TEST_CASE("parents: when all fall silent at once, nobody is blamed: their origin is out, or the way to all of them") {
  for (const Duration out : {50ms, 200ms, 1000ms, 10000ms}) {
    CAPTURE(out.count());
    Rig rig{3, 1};
    rig.run(10s);
    for (int again = 0; again < 5; ++again) {
      for (std::size_t p = 0; p < 3; ++p) rig.up[p] = false;
      rig.run(out);
      for (std::size_t p = 0; p < 3; ++p) rig.up[p] = true;
      rig.run(5s);
      for (std::size_t p = 0; p < 2; ++p) CHECK_FALSE(rig.choice.held(p));
    }
    CHECK(rig.duties() == "Lw-");
    CHECK(rig.choice.counters().exchanged.get() == 0);
    CHECK(rig.choice.counters().restored.get() == 0);
    // One alone is.
    rig.up[0] = false;
    rig.run(1s);
    CHECK(rig.choice.held(0));
  }
}

TEST_CASE("parents: another order or number is brought about without a gap") {
  Rig rig{3, 1};
  rig.run(10s);
  rig.hungry = {};
  rig.choice.prefer(0, 7);
  rig.run(20s);
  CHECK(rig.choice.duty(1) == Duty::live);
  CHECK(rig.choice.duty(0) != Duty::live);
  rig.choice.set_live(2);
  rig.run(5s);
  CHECK(rig.most_live == 2);
  rig.choice.set_live(3);
  rig.run(5s);
  CHECK(rig.duties() == "LLL");
  rig.choice.set_live(1);
  rig.run(5s);
  CHECK(rig.choice.duty(1) == Duty::live);
  CHECK(rig.hungry == Duration{});
}

}  // namespace tiercast::parents_test
