// Which of its parents a child has live, which warm, which cold: several live ones are merged by sequence, a warm one
// costs one packet to take up, a cold one costs nothing. Decides by what it is told of each parent's health, round trip
// and loss; knows no lease, no group and no frame. Used by relays and listeners alike.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "relay/control/parent.hpp"

namespace tiercast::control {

struct ParentsCounters {
  Counter replaced, exchanged, restored;
  template <class F>
  void each(F&& f) const {
    f("parents_replaced", replaced);    // a standby was taken up for one that failed
    f("parents_exchanged", exchanged);  // one was much worse than a standby, for long
    f("parents_restored", restored);    // one that had failed was taken up again, for it is named before another
  }
};

/// Of several parents, in their order of preference at first.
class Parents {
 public:
  struct Config {
    std::size_t live = 2;
    std::size_t warm = 1;
    bool relay = false;  // relays are few, and have others below them: they wait less before they join
  };
  /// A parent as it is just now.
  struct View {
    Health health = Health::gone;
    Duration distance{};   // a round trip
    double loss = 0;       // 0 to 1
    bool denied = false;   // when it was asked last
    bool leaving = false;  // it is about to stop: it counts no more, and is left as it is
  };

  Parents(const Config& config, Random& random) : config_(config), random_(&random) {}

  /// One more, after those that there are. Cold.
  void add() { add(places_.size()); }
  void add(std::size_t preference);
  /// Those behind it move up by one.
  void remove(std::size_t parent);
  /// The lower, the sooner it is live.
  void prefer(std::size_t parent, std::size_t preference) { places_[parent].preference = preference; }
  void set_live(std::size_t live) { config_.live = live; }
  /// This node is about to end the lease. As View::leaving.
  void set_leaving(std::size_t parent, bool leaving) { places_[parent].leaving = leaving; }

  /// choose(), and tells each parent. The same ones as were added, in that order. True: one has another duty now.
  bool settle(std::span<Parent> parents, Time now);
  /// What to want of each from now on: see duty(). After every event that may change a view, and at next_deadline().
  void choose(std::span<const View> views, Time now);
  Duty duty(std::size_t parent) const { return places_[parent].duty; }
  /// It has failed not long ago: others go first.
  bool held(std::size_t parent) const { return places_[parent].held; }
  /// As many are wanted live.
  std::size_t wanted() const { return config_.live; }
  Time next_deadline() const { return next_; }
  const ParentsCounters& counters() const { return counters_; }

  static constexpr Duration kSteady = 1s;           // good for so long: it does as well as another
  static constexpr Duration kJoinPatience = 1s;     // a join that takes longer has failed so far
  static constexpr Duration kHold = 10s;            // who failed must be good for so long before it goes first again;
  static constexpr Duration kMaxHold = 320s;        // doubled with each time, up to here
  static constexpr Duration kForgive = 600s;        // good for so long: it never failed
  static constexpr Duration kWorseFor = 10s;        // much worse than a standby for so long: exchanged
  static constexpr Duration kBlame = 100ms;         // bad for so long while another one is good: it has failed,
  static constexpr Duration kBlameWithin = 500ms;   // if that one was good so soon
  static constexpr Duration kTakeUpSpread = 20ms;   // a crowd takes its standby up within so long
  static constexpr Duration kLookAround = 30s;      // all live ones have had nothing for so long: another one is asked;
  static constexpr Duration kMaxLookAround = 320s;  // the next one after twice as long, up to here
  static constexpr Duration kHasInput = 2s;  // by then one that was joined has said whether it has nothing either

 private:
  struct Place {
    std::size_t preference = 0;
    Duty duty = Duty::cold;
    Time since{};  // of its duty
    std::optional<Time> good_since;
    unsigned failures = 0;
    Time failed_at{};
    bool bad = false;  // brings nothing, or is gone, and is not good again
    Time bad_since{};
    bool blamed = false;  // for that: see blame()
    bool held = false;    // has failed not long ago
    bool leaving = false;
    std::optional<Time> worse_since;
    std::optional<Time> asked_at;  // beside live ones that have nothing: see look_around()
    bool asked = false;            // it stands by for that
    bool unproven = false;         // likewise, and may have nothing either
    View view;
  };
  void judge(Place& place, Time now);
  void blame(Time now);
  void fail(Place& place, Time now);
  void sort();
  enum class Readiness : std::uint8_t { any, leased, good };  // from `leased` on it costs one packet
  Place* standby(Readiness least);
  Place* last_live();
  std::size_t fed(Time now) const;
  std::size_t live_and(Health health) const;
  void compare(Time now);
  void look_around(Time now);
  void fill(Time now);
  void exchange(Time now);
  void trim(Time now);
  void keep_warm(Time now);
  void set(Place& place, Duty duty, Time now);
  bool at(Time when, Time now);
  Time spread(Duration over, Time now);
  static Duration hold(const Place& place);
  static bool before(const Place& a, const Place& b);
  static bool joins(const Place& place, Time now);
  static bool troubled(const Place& place);

  Config config_;
  Random* random_;
  std::vector<Place> places_;
  std::vector<Place*> order_;  // as before() has them
  std::vector<View> views_;
  Time fill_at_ = kNever;  // a live one is lacking: when to take another
  Time warm_at_ = kNever;  // likewise a warm one
  Time look_at_ = kNever;  // all live ones have nothing: when to look around
  unsigned looks_ = 0;
  Time next_ = kNever;
  ParentsCounters counters_;
};

}  // namespace tiercast::control
