#include "relay/ops/log.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <ctime>

namespace tiercast::ops::log {
namespace {

struct Output {
  std::atomic<int> fd{STDERR_FILENO};
  std::atomic<Prefix> prefix{Prefix::time};
  std::atomic<Level> level{Level::info};
  std::atomic<std::uint64_t> lost{0};
  Output() {
    const char* stream = std::getenv("JOURNAL_STREAM");
    if (stream != nullptr) prefix = prefix_for(STDERR_FILENO, stream);
  }
};

Output& output() {
  static Output one;
  return one;
}

constexpr std::string_view kCut = " ...";

constexpr int priority(Level level) {  // syslog's: 7 debug, 6 info, 4 warning, 3 error
  constexpr std::array<int, 4> kPriorities{7, 6, 4, 3};
  return kPriorities[static_cast<std::size_t>(level)];
}
constexpr std::string_view name(Level level) {
  constexpr std::array<std::string_view, 4> kNames{"debug", "info", "warning", "error"};
  return kNames[static_cast<std::size_t>(level)];
}

/// Needs no quotes: printable ASCII that neither a shell nor a key=value parser could mistake.
bool is_plain(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view{"._-:/[]@%+,"}.find(c) != std::string_view::npos;
}

}  // namespace

/// A line being made in place.
class Line {
 public:
  Line(Level level, Prefix prefix, std::string_view event) {
    if (prefix == Prefix::priority) {
      print("<{}>", priority(level));
    } else {
      timespec now{};
      tm utc{};
      clock_gettime(CLOCK_REALTIME, &now);
      gmtime_r(&now.tv_sec, &utc);
      print("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z {} ", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
            utc.tm_hour, utc.tm_min, utc.tm_sec, now.tv_nsec / 1'000'000, name(level));
    }
    put(event);
  }

  void field(const Field& field) {
    put(" ");
    put(field.key);
    put("=");
    switch (field.value.kind_) {
      case Value::Kind::text: return text(field.value.text_);
      case Value::Kind::integer: return print("{}", field.value.integer_);
      case Value::Kind::natural: return print("{}", field.value.natural_);
      case Value::Kind::real: return print("{:.3f}", field.value.real_);
    }
  }

  std::string_view finish() {
    if (cut_) {
      std::copy(kCut.begin(), kCut.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(size_));
      size_ += kCut.size();
    }
    bytes_[size_++] = '\n';
    return {bytes_.data(), size_};
  }

 private:
  /// All or nothing, so that no escape is cut in two.
  void put(std::string_view piece) {
    if (cut_ || piece.size() > kLongestLine - kCut.size() - 1 - size_) {
      cut_ = true;
      return;
    }
    std::copy(piece.begin(), piece.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(size_));
    size_ += piece.size();
  }

  template <class... Arguments>
  void print(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    std::array<char, 400> piece;  // NOLINT: written below
    const auto end = fmt::format_to_n(piece.data(), piece.size(), format, std::forward<Arguments>(arguments)...);
    put({piece.data(), std::min(end.size, piece.size())});
  }

  void text(std::string_view value) {
    if (!value.empty() && std::all_of(value.begin(), value.end(), is_plain)) {
      for (; !value.empty(); value.remove_prefix(1)) put(value.substr(0, 1));
      return;
    }
    put("\"");
    for (const char c : value) {
      const auto byte = static_cast<unsigned char>(c);
      if (c == '"' || c == '\\') {
        const std::array<char, 2> escaped{'\\', c};
        put({escaped.data(), escaped.size()});
      } else if (c == '\n') {
        put("\\n");
      } else if (byte < 0x20 || byte >= 0x7f) {
        print("\\x{:02x}", static_cast<unsigned>(byte));
      } else {
        put({&c, 1});
      }
    }
    put("\"");
  }

  std::array<char, kLongestLine> bytes_;  // NOLINT: size_ of them are set
  std::size_t size_ = 0;
  bool cut_ = false;
};

namespace {

void write_line(Level level, std::string_view event, Fields fields) {
  Output& out = output();
  if (level < out.level.load(std::memory_order_relaxed)) return;
  Line line{level, out.prefix.load(std::memory_order_relaxed), event};
  for (const Field& field : fields) line.field(field);
  const std::string_view text = line.finish();
  const int fd = out.fd.load(std::memory_order_relaxed);
  // The journal is a socket: a frame must not wait for it. A terminal, file or pipe is written to plainly.
  ssize_t written = ::send(fd, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (written < 0 && errno == ENOTSOCK) {
    do written = ::write(fd, text.data(), text.size());
    while (written < 0 && errno == EINTR);
  }
  if (written != static_cast<ssize_t>(text.size())) out.lost.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

void debug(std::string_view event, Fields fields) { write_line(Level::debug, event, fields); }
void info(std::string_view event, Fields fields) { write_line(Level::info, event, fields); }
void warning(std::string_view event, Fields fields) { write_line(Level::warning, event, fields); }
void error(std::string_view event, Fields fields) { write_line(Level::error, event, fields); }

void set_level(Level level) { output().level.store(level, std::memory_order_relaxed); }
std::uint64_t lost() { return output().lost.load(std::memory_order_relaxed); }

void set_output(int fd, Prefix prefix) {
  output().fd.store(fd, std::memory_order_relaxed);
  output().prefix.store(prefix, std::memory_order_relaxed);
}

Prefix prefix_for(int fd, std::string_view journal_stream) {
  struct stat status {};
  if (fstat(fd, &status) != 0) return Prefix::time;
  return journal_stream == fmt::format("{}:{}", status.st_dev, status.st_ino) ? Prefix::priority : Prefix::time;
}

std::optional<std::uint64_t> RateLimit::allow(Time now) {
  const std::int64_t t = now.time_since_epoch().count();
  std::int64_t next = next_.load(std::memory_order_relaxed);
  // Whoever moves the mark is the one to speak.
  if (t < next || !next_.compare_exchange_strong(next, t + Duration{1s}.count(), std::memory_order_relaxed)) {
    held_back_.fetch_add(1, std::memory_order_relaxed);
    return std::nullopt;
  }
  return held_back_.exchange(0, std::memory_order_relaxed);
}

}  // namespace tiercast::ops::log
