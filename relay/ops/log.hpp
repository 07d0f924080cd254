// The log: one event a line, key=value, to standard error. Under systemd a line begins with its <N> priority, else with
// the time and level. Nothing about a listener's ticket or a key may be handed to it.
#pragma once

#include <atomic>
#include <concepts>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "relay/base/types.hpp"

namespace tiercast::ops::log {

class Line;  // log.cpp

enum class Level : std::uint8_t { debug, info, warning, error };

/// A value as it will be printed; text is only looked at, so it must outlive the call it is for.
class Value {
 public:
  Value(std::string_view text) : kind_(Kind::text), text_(text) {}   // NOLINT: implicit, for {"key", value}
  Value(const char* text) : Value(std::string_view{text}) {}         // NOLINT
  Value(const std::string& text) : Value(std::string_view{text}) {}  // NOLINT
  Value(bool value) : Value(value ? std::string_view{"true"} : std::string_view{"false"}) {}  // NOLINT
  template <std::signed_integral T>
  Value(T number) : kind_(Kind::integer), integer_(number) {}  // NOLINT
  template <std::unsigned_integral T>
  requires(!std::same_as<T, bool>) Value(T number) : kind_(Kind::natural), natural_(number) {}  // NOLINT
  Value(double number) : kind_(Kind::real), real_(number) {}                                    // NOLINT
  /// In milliseconds, with three decimals.
  Value(Duration duration) : Value(std::chrono::duration<double, std::milli>(duration).count()) {}  // NOLINT

 private:
  friend class Line;
  enum class Kind : std::uint8_t { text, integer, natural, real };
  Kind kind_;
  union {
    std::string_view text_;
    std::int64_t integer_;
    std::uint64_t natural_;
    double real_;
  };
};

struct Field {
  std::string_view key;
  Value value;
};
using Fields = std::initializer_list<Field>;

/// `event` and keys are words: [a-z0-9_]. Values are quoted and escaped where they hold anything else than plain
/// characters. A line longer than kLongestLine is cut, and says so. From any thread: one write a line; nothing is
/// allocated, and a line that the journal does not take at once is lost and counted rather than waited for.
void debug(std::string_view event, Fields fields = {});
void info(std::string_view event, Fields fields = {});
void warning(std::string_view event, Fields fields = {});
void error(std::string_view event, Fields fields = {});

/// Less than this is not written. info at first.
void set_level(Level level);
/// Lines that could not be written.
std::uint64_t lost();

inline constexpr std::size_t kLongestLine = 1024;  // with its newline

/// Once per second and place, for events that network input can cause. Any thread.
class RateLimit {
 public:
  /// How many were held back since the last allowed one, or nullopt: hold this one back too. `now` is any clock that
  /// does not go backwards.
  std::optional<std::uint64_t> allow(Time now);

 private:
  std::atomic<std::int64_t> next_ = std::numeric_limits<std::int64_t>::min();
  std::atomic<std::uint64_t> held_back_{0};
};

/// Where lines go and how they begin; as the process starts: standard error, priorities if that is the journal.
enum class Prefix { time, priority };
void set_output(int fd, Prefix prefix);
/// Whether `fd` is the stream that $JOURNAL_STREAM ("DEVICE:INODE") names; then lines carry priorities.
Prefix prefix_for(int fd, std::string_view journal_stream);

}  // namespace tiercast::ops::log
