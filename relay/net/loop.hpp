// The event loop: one io_uring, one thread. Turns completions into calls of handlers. Knows no protocol.
#pragma once

#include <poll.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tl/expected.hpp>

#include "relay/base/counter.hpp"
#include "relay/base/endpoint.hpp"
#include "relay/net/error.hpp"

namespace tiercast::net {

/// Both clocks, now. The core never calls this: it is given `now`.
Moment read_clocks();
/// That this thread has used so far.
Duration processor_time();

class DatagramHandler {
 public:
  virtual ~DatagramHandler() = default;
  /// `datagram` is the handler's to change in place, until it returns. `local` is zeros unless the socket asks for
  /// packet information.
  virtual void on_datagram(MutableBytes datagram, const Endpoint& from, const LocalAddress& local) = 0;
  /// errno: ECONNREFUSED and the like from a connected socket (reception goes on), or what ended reception for good
  /// (then Loop::receives(fd) is false).
  virtual void on_error(int error) = 0;
};

enum class Priority {
  normal,
  /// Its datagrams are handed over one at a time, and before each one everything else that has arrived.
  background,
};

struct ReceiveOptions {
  unsigned buffers = 64;  // datagrams that the kernel may hand over per turn; rounded up to a power of two
  Priority priority = Priority::normal;
  std::uint8_t socket = 0;  // what LocalAddress::socket of its datagrams says
};

struct LoopOptions {
  unsigned operations = 256;  // receptions, polls and unfinished file operations at once
};

struct LoopCounters {
  Counter turns;
  Counter datagrams;
  Counter truncated;   // longer than a buffer: handed to nobody
  Counter malformed;   // without a sender's address that IP could have: handed to nobody
  Counter errors;      // reported through on_error
  Counter no_buffers;  // reception paused because all its buffers were full: the socket's queue takes over
  Counter rearmed;     // the kernel ended a multishot request, and it was started again
  template <class F>
  void each(F&& f) const {
    f("loop_turns", turns);
    f("loop_datagrams", datagrams);
    f("loop_drop_truncated", truncated);
    f("loop_drop_malformed", malformed);
    f("loop_errors", errors);
    f("loop_no_buffers", no_buffers);
    f("loop_rearmed", rearmed);
  }
};

/// Belongs to the thread that first calls turn() (or cancels something after that), and dies there; before its first
/// turn() it may be made and filled on any thread. Handlers may call everything but turn(). Nothing is allocated per
/// completion; what starts an operation may allocate.
class Loop {
 public:
  /// Exit status 71 with what to change where io_uring is refused.
  static tl::expected<Loop, Error> create(const LoopOptions& options = {});
  Loop(Loop&&) noexcept;
  Loop& operator=(Loop&&) = delete;
  ~Loop();

  /// Submits what is new, waits until something completes or `deadline` (kNever: forever) has passed, hands over at
  /// most `max_completions`, and returns how many. May return 0 early (a signal): call again. What is left is handed
  /// over by the next turn, which then does not wait.
  unsigned turn(Time deadline, unsigned max_completions);

  // All return 0 or an errno: ENOSPC when LoopOptions::operations are in use.

  /// Receives from `fd` until cancel(fd). `handler` outlives that.
  [[nodiscard]] int receive(int fd, DatagramHandler& handler, const ReceiveOptions& options = {});
  bool receives(int fd) const;
  /// Within on_datagram(): when the kernel received it, where its socket asks for that (SocketOptions::stamps).
  std::optional<WallTime> stamp() const;

  /// The poll(2) events that came, or -errno, which ends the poll. Told when something *becomes* ready: read until
  /// EAGAIN.
  using PollHandler = std::function<void(int events)>;
  [[nodiscard]] int poll(int fd, PollHandler handler, unsigned events = POLLIN);

  /// Ends receptions and polls of `fd`: no handler of them is called any more, and the kernel has let go of the file,
  /// so that close(fd) closes it.
  void cancel(int fd);

  /// 0 or an errno; called once, never from within the function that was given it. cancel() ends none of these.
  using DoneHandler = std::function<void(int error)>;
  /// Writes all of `data` at `offset` of a regular file. `data` and `fd` stay as they are until `done`; cancel() does
  /// not end it. Writes are not ordered among each other: chain what must be.
  [[nodiscard]] int write(int fd, Bytes data, std::uint64_t offset, DoneHandler done);
  /// fdatasync(2) of what had been written (completed) before; `whole`: fsync(2), as a directory needs.
  [[nodiscard]] int fsync(int fd, DoneHandler done, bool whole = false);
  /// openat(2), close-on-exec; `opened` gets the descriptor, the caller's from then on, or -errno.
  using OpenHandler = std::function<void(int fd)>;
  [[nodiscard]] int open(std::string path, int flags, unsigned mode, OpenHandler opened);
  /// Never over a file that is there: EEXIST. EINVAL: the file system knows no such rename.
  [[nodiscard]] int rename(std::string from, std::string to, DoneHandler done);
  [[nodiscard]] int link(std::string from, std::string to, DoneHandler done);
  [[nodiscard]] int unlink(std::string path, DoneHandler done);
  /// close(2), which may wait for a file server; `fd` is the loop's from now on, unless it fails.
  [[nodiscard]] int close(int fd, DoneHandler done);

  /// Before it sleeps it asks the network devices that its sockets receive from, for up to so many microseconds
  /// (IORING_REGISTER_NAPI, Linux 6.9). 0 or an errno: EINVAL where the kernel has no such thing.
  [[nodiscard]] int busy_poll(unsigned microseconds);

  const LoopCounters& counters() const;

 private:
  class State;
  explicit Loop(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tiercast::net
