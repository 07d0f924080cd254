// tiercast status: once, or again and again; on a terminal in place. Knows the terminal, not what is shown.
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

#include "relay/base/exit_code.hpp"
#include "relay/cli/admin_answer.hpp"
#include "relay/cli/commands.hpp"
#include "relay/cli/endings.hpp"
#include "relay/cli/status_text.hpp"

namespace tiercast::cli {
namespace {

constexpr Duration kRatesOver = 1s;

volatile sig_atomic_t asked_to_end = 0;
void on_signal(int) { asked_to_end = 1; }

/// Ctrl-C and SIGTERM end the waiting, not the process. Between waits and requests they are held back, so that none is
/// missed; what the process had before is there again afterwards.
class Interruptible {
 public:
  Interruptible() {
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGTERM);
    asked_to_end = 0;
    ::sigprocmask(SIG_BLOCK, &held, &mask_);
    open_ = mask_;
    sigdelset(&open_, SIGINT);
    sigdelset(&open_, SIGTERM);
    struct sigaction action {};
    action.sa_handler = on_signal;  // no SA_RESTART: it interrupts
    ::sigaction(SIGINT, &action, &interrupt_);
    ::sigaction(SIGTERM, &action, &terminate_);
  }
  ~Interruptible() {
    ::sigaction(SIGINT, &interrupt_, nullptr);
    ::sigaction(SIGTERM, &terminate_, nullptr);
    ::sigprocmask(SIG_SETMASK, &mask_, nullptr);
  }
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;

  /// False: asked to end.
  bool wait(Duration d) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(d);
    const timespec patience{seconds.count(), static_cast<long>((d - seconds).count())};
    if (!asked_to_end) ::ppoll(nullptr, 0, &patience, &open_);
    return !asked_to_end;
  }
  template <class F>
  auto interruptible(F&& f) {
    sigset_t held;
    ::sigprocmask(SIG_SETMASK, &open_, &held);
    auto result = f();
    ::sigprocmask(SIG_SETMASK, &held, nullptr);
    return result;
  }
  bool ended() const { return asked_to_end; }

 private:
  sigset_t mask_{}, open_{};
  struct sigaction interrupt_ {
  }, terminate_{};
};

tl::expected<Snapshot, net::Error> take(const std::string& socket) {
  const auto answer = ask_node(socket, "status");
  if (!answer) return tl::unexpected{answer.error()};
  auto snapshot = read_snapshot(*answer);
  if (!snapshot)
    return tl::unexpected{net::Error{"admin socket " + socket + ": " + snapshot.error(), ExitCode::unavailable}};
  return std::move(*snapshot);
}

/// Standard output.
struct Screen {
  bool repaints = false;
  bool colour = false;
  std::size_t painted = 0;  // lines above the cursor

  Screen() {
    const char* no_colour = std::getenv("NO_COLOR");
    const char* terminal = std::getenv("TERM");
    repaints = ::isatty(STDOUT_FILENO) == 1 && terminal != nullptr && std::strcmp(terminal, "dumb") != 0;
    colour = repaints && (no_colour == nullptr || *no_colour == 0);
  }
  Canvas canvas() const { return {.colour = colour, .columns = kStatusColumns}; }
  /// Where the last one stood, and no larger than the terminal: what scrolled away could not be painted over.
  std::string again(const std::vector<Line>& lines) {
    winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) size = {24, 80, 0, 0};
    Canvas in_place = canvas();
    in_place.columns = std::min<std::size_t>(kStatusColumns, size.ws_col);
    in_place.rows = std::max<std::size_t>(size.ws_row, 2) - 1;
    in_place.clears = true;
    painted = std::min(painted, in_place.rows);
    const std::string up = painted > 0 ? "\033[" + std::to_string(painted) + "A" : "";
    const std::string text = paint(lines, in_place);
    painted = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
    return "\r" + up + text + "\033[J";
  }
};

bool write(const std::string& text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}

int cannot_write() { return complain({std::string{"standard output: "} + std::strerror(errno), ExitCode::io}); }

int once(const StatusOptions& options) {
  const auto before = take(options.socket);
  if (!before) return complain(before.error());
  const timespec pause{std::chrono::duration_cast<std::chrono::seconds>(kRatesOver).count(), 0};
  ::nanosleep(&pause, nullptr);
  const auto now = take(options.socket);
  if (!now) return complain(now.error());
  return write(paint(status_lines({*now, &*before}), Screen{}.canvas())) ? ExitCode::ok : cannot_write();
}

int json_once(const StatusOptions& options) {
  const auto answer = ask_node(options.socket, "status");
  if (!answer) return complain(answer.error());
  return write(answer->dump(2) + "\n") ? ExitCode::ok : cannot_write();
}

int gone(net::Error error, bool seen) {
  if (seen && error.exit_code == ExitCode::unavailable) error.text = "the node has gone: " + error.text;
  return complain(error);
}

/// An object and a line each.
int watch_json(const StatusOptions& options) {
  Interruptible signals;
  for (bool seen = false;; seen = true) {
    const auto answer = signals.interruptible([&] { return ask_node(options.socket, "status"); });
    if (signals.ended()) return ExitCode::ok;
    if (!answer) return gone(answer.error(), seen);
    if (!write(answer->dump() + "\n")) return cannot_write();
    if (!signals.wait(*options.watch)) return ExitCode::ok;
  }
}

int watch(const StatusOptions& options) {
  Interruptible signals;
  Screen screen;
  std::optional<Snapshot> before;
  const auto end = [&] {
    if (screen.repaints) write("\r\033[K");  // the terminal's echo of Ctrl-C
    return int{ExitCode::ok};
  };
  while (true) {
    auto now = signals.interruptible([&] { return take(options.socket); });
    if (signals.ended()) return end();
    if (!now) return gone(now.error(), before.has_value());
    const bool first = !before;
    const std::vector<Line> lines = status_lines({*now, before ? &*before : nullptr});
    // A terminal shows at once what there is; of what is kept each block has its rates.
    const std::string text = screen.repaints ? screen.again(lines) : first ? "" : paint(lines, screen.canvas()) + "\n";
    if (!write(text)) return cannot_write();
    before = std::move(*now);
    if (!signals.wait(first ? std::min(kRatesOver, *options.watch) : *options.watch)) return end();
  }
}

}  // namespace

int run(const StatusOptions& options) {
  if (options.watch) return options.json ? watch_json(options) : watch(options);
  return options.json ? json_once(options) : once(options);
}

}  // namespace tiercast::cli
