#include "relay/net/loop.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstdio>
#include <ctime>

#include "relay/net/loop_state.hpp"

namespace tiercast::net {
namespace {
constexpr unsigned kSubmissions = 256;
constexpr unsigned kCompletions = 4096;  // more than the buffers of all receivers together
}  // namespace

Moment read_clocks() {
  timespec mono{};
  timespec wall{};
  clock_gettime(CLOCK_MONOTONIC, &mono);
  clock_gettime(CLOCK_REALTIME, &wall);
  return {Time{std::chrono::seconds{mono.tv_sec} + std::chrono::nanoseconds{mono.tv_nsec}},
          WallTime{std::chrono::seconds{wall.tv_sec} + std::chrono::microseconds{wall.tv_nsec / 1000}}};
}

Duration processor_time() {
  timespec used{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return std::chrono::seconds{used.tv_sec} + std::chrono::nanoseconds{used.tv_nsec};
}

int Loop::State::busy_poll(unsigned microseconds) {
  // Of Linux 6.9, and younger than liburing 2.3: its number and its argument as the kernel has them.
  constexpr unsigned kRegisterNapi = 27;
  struct {
    std::uint32_t timeout_us;
    std::uint8_t prefer;
    std::uint8_t pad[3];
    std::uint64_t reserved;
  } napi{microseconds, 1, {}, 0};
  const long result = ::syscall(__NR_io_uring_register, ring_.ring_fd, kRegisterNapi, &napi, 1);
  return result < 0 ? errno : 0;
}

// --- operations ---

Operation* Loop::State::take() {
  for (Operation& op : operations_) {
    if (op.stage != Stage::free) continue;
    used_ = std::max<std::size_t>(used_, index(op) + 1);
    return &op;
  }
  return nullptr;
}

void Loop::State::wait(Operation& op) {
  op.stage = Stage::waiting;
  ++waiting_;
}

void Loop::State::release(Operation& op) {
  if (op.stage == Stage::waiting) --waiting_;
  const std::uint32_t next = op.generation + 1;
  op.buffers.reset();
  op.callback = nullptr;
  op.handler = nullptr;
  op.stage = Stage::free;
  op.cancelled = false;
  op.held = 0;
  op.generation = next;
}

int Loop::State::receive(int fd, DatagramHandler& handler, const ReceiveOptions& options) {
  Operation* op = take();
  if (op == nullptr) return ENOSPC;
  op->buffers.emplace(ring_, static_cast<std::uint16_t>(index(*op)), options.buffers);
  if (const int error = op->buffers->error(); error != 0) {
    op->buffers.reset();
    return error;
  }
  op->kind = Kind::receive;
  op->fd = fd;
  op->handler = &handler;
  op->background = options.priority == Priority::background;
  op->socket = options.socket;
  if (op->background) {
    // Room for every buffer that can be put aside at once; what is there is laid out from the start again.
    std::size_t room = 0;
    for (const Operation& other : operations_)
      if (other.buffers && other.background) room += other.buffers->count();
    std::vector<Aside> larger(room + aside_size_);  // of receivers that are gone, some may be left
    for (std::size_t i = 0; i < aside_size_; ++i) larger[i] = aside_[(aside_head_ + i) % aside_.size()];
    aside_ = std::move(larger);
    aside_head_ = 0;
  }
  wait(*op);
  return 0;
}

bool Loop::State::receives(int fd) const {
  for (const Operation& op : operations_)
    if (op.stage != Stage::free && op.kind == Kind::receive && op.fd == fd && !op.cancelled) return true;
  return false;
}

int Loop::State::start(Kind kind, int fd, std::function<void(int)> callback, unsigned events, Bytes data,
                       std::uint64_t offset) {
  Operation* op = take();
  if (op == nullptr) return ENOSPC;
  op->kind = kind;
  op->fd = fd;
  op->callback = std::move(callback);
  op->events = events;
  op->rest = data;
  op->offset = offset;
  wait(*op);
  return 0;
}

int Loop::State::start(Kind kind, std::string path, std::string to, std::function<void(int)> callback, unsigned flags,
                       unsigned mode) {
  Operation* op = take();
  if (op == nullptr) return ENOSPC;
  op->kind = kind;
  op->fd = -1;
  op->path = std::move(path);
  op->to = std::move(to);
  op->callback = std::move(callback);
  op->events = flags;
  op->offset = mode;
  op->rest = {};
  wait(*op);
  return 0;
}

template <class Match>
void Loop::State::cancel(Match match) {
  bool asked = false;
  for (std::size_t i = 0; i < used_; ++i) {
    Operation& op = operations_[i];
    if (op.stage == Stage::free || op.cancelled || !match(op)) continue;
    op.cancelled = true;
    if (op.stage == Stage::armed) {
      io_uring_sqe* sqe = submission();
      io_uring_prep_cancel64(sqe, tag(op), 0);
      io_uring_sqe_set_data64(sqe, kNobody);
      asked = true;
    } else if (&op != running_) {
      release(op);
    }
  }
  // A cancelled request lets go of its file when its completion is made, and with DEFER_TASKRUN that is here.
  if (asked) io_uring_submit_and_get_events(&ring_);
}

Loop::State::~State() {
  assert(!turning_);
  cancel([](const Operation&) { return true; });
  // Memory that the kernel may still write to must outlive its request: see every armed one's end, but not forever
  // (a write to a file server that is gone may hang).
  const Time deadline = read_clocks().mono + 2s;
  const auto armed = [this] {
    for (std::size_t i = 0; i < used_; ++i)
      if (operations_[i].stage == Stage::armed) return true;
    return false;
  };
  while (armed() && read_clocks().mono < deadline) {
    enter(deadline);
    io_uring_cqe* cqe = nullptr;
    while (io_uring_peek_cqe(&ring_, &cqe) == 0 && cqe != nullptr) {
      const io_uring_cqe copy = *cqe;
      io_uring_cqe_seen(&ring_, cqe);
      dispatch(copy);
    }
  }
  operations_.clear();
}

// --- the kernel's side ---

io_uring_sqe* Loop::State::submission() {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  while (sqe == nullptr) {
    io_uring_submit(&ring_);
    sqe = io_uring_get_sqe(&ring_);
  }
  return sqe;
}

void Loop::State::arm_waiting() {
  for (std::size_t i = 0; i < used_ && waiting_ > 0; ++i) {
    Operation& op = operations_[i];
    if (op.stage != Stage::waiting) continue;
    --waiting_;
    arm(op, *submission());
  }
}

void Loop::State::arm(Operation& op, io_uring_sqe& sqe) {
  switch (op.kind) {
    case Kind::receive:
      io_uring_prep_recvmsg_multishot(&sqe, op.fd, &shape_, 0);
      sqe.flags |= IOSQE_BUFFER_SELECT;
      sqe.buf_group = static_cast<std::uint16_t>(index(op));
      break;
    case Kind::poll: io_uring_prep_poll_multishot(&sqe, op.fd, op.events); break;
    case Kind::write: {
      constexpr std::size_t kMost = std::size_t{1} << 30;  // a length is 32 bits; longer writes go in pieces
      io_uring_prep_write(&sqe, op.fd, op.rest.data(), static_cast<unsigned>(std::min(op.rest.size(), kMost)),
                          op.offset);
      break;
    }
    case Kind::fsync: io_uring_prep_fsync(&sqe, op.fd, op.events != 0 ? 0 : IORING_FSYNC_DATASYNC); break;
    case Kind::open:
      io_uring_prep_openat(&sqe, AT_FDCWD, op.path.c_str(), static_cast<int>(op.events) | O_CLOEXEC,
                           static_cast<mode_t>(op.offset));
      break;
    case Kind::rename:
      io_uring_prep_renameat(&sqe, AT_FDCWD, op.path.c_str(), AT_FDCWD, op.to.c_str(), RENAME_NOREPLACE);
      break;
    case Kind::link: io_uring_prep_linkat(&sqe, AT_FDCWD, op.path.c_str(), AT_FDCWD, op.to.c_str(), 0); break;
    case Kind::unlink: io_uring_prep_unlinkat(&sqe, AT_FDCWD, op.path.c_str(), 0); break;
    case Kind::close: io_uring_prep_close(&sqe, op.fd); break;
  }
  io_uring_sqe_set_data64(&sqe, tag(op));
  op.stage = Stage::armed;
}

void Loop::State::enter(Time deadline) {
  // Every failure here is momentary (EINTR, ETIME, EAGAIN, EBUSY: completions first) or a programmer's (EEXIST: a
  // second thread).
  int result = 0;
  io_uring_cqe* cqe = nullptr;
  const Time now = deadline == kNever ? Time{} : read_clocks().mono;
  if (deadline != kNever && deadline <= now) {
    result = io_uring_submit_and_get_events(&ring_);
  } else if (deadline == kNever) {
    result = io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, nullptr, nullptr);
  } else {
    const auto left = deadline - now;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    __kernel_timespec timeout{seconds.count(), (left - seconds).count()};
    result = io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, &timeout, nullptr);
  }
  assert(result != -EEXIST && "a Loop is its thread's alone");
  static_cast<void>(result);
}

bool Loop::State::kernel_has_news() const {
  const unsigned flags = IO_URING_READ_ONCE(*ring_.sq.kflags);
  return io_uring_sq_ready(&ring_) > 0 || (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

unsigned Loop::State::turn(Time deadline, unsigned max_completions) {
  assert(!turning_);
  turning_ = true;
  counters_.turns.add();
  if (!enabled_) {
    const int result = io_uring_enable_rings(&ring_);
    assert(result == 0);
    static_cast<void>(result);
    enabled_ = true;
  }
  arm_waiting();
  const bool ready = io_uring_cq_ready(&ring_) > 0 || aside_size_ > 0 || max_completions == 0;
  if (!ready || kernel_has_news()) enter(ready ? Time::min() : deadline);
  unsigned done = 0;
  while (done < max_completions) {
    io_uring_cqe* cqe = nullptr;
    if (io_uring_cq_ready(&ring_) > 0 && io_uring_peek_cqe(&ring_, &cqe) == 0 && cqe != nullptr) {
      const io_uring_cqe copy = *cqe;
      io_uring_cqe_seen(&ring_, cqe);  // before the handler: it may make more
      done += dispatch(copy);
      continue;
    }
    if (aside_size_ == 0) break;
    arm_waiting();
    if (kernel_has_news()) {
      io_uring_submit_and_get_events(&ring_);
      if (io_uring_cq_ready(&ring_) > 0) continue;
    }
    done += dispatch_aside();
  }
  turning_ = false;
  return done;
}

// --- Loop ---

tl::expected<Loop, Error> Loop::create(const LoopOptions& options) {
  auto uring = Uring::create(kSubmissions, kCompletions);
  if (!uring) return tl::unexpected(uring.error());
  return Loop{std::make_unique<State>(std::move(*uring), options.operations)};
}

Loop::Loop(std::unique_ptr<State> state) : state_(std::move(state)) {}
Loop::Loop(Loop&&) noexcept = default;
Loop::~Loop() = default;

unsigned Loop::turn(Time deadline, unsigned max_completions) { return state_->turn(deadline, max_completions); }
int Loop::receive(int fd, DatagramHandler& handler, const ReceiveOptions& options) {
  return state_->receive(fd, handler, options);
}
bool Loop::receives(int fd) const { return state_->receives(fd); }
std::optional<WallTime> Loop::stamp() const { return state_->stamp(); }
int Loop::poll(int fd, PollHandler handler, unsigned events) {
  return state_->start(Kind::poll, fd, std::move(handler), events, {}, 0);
}
void Loop::cancel(int fd) {
  state_->cancel(
      [fd](const Operation& op) { return op.fd == fd && (op.kind == Kind::receive || op.kind == Kind::poll); });
}
int Loop::write(int fd, Bytes data, std::uint64_t offset, DoneHandler done) {
  return state_->start(Kind::write, fd, std::move(done), 0, data, offset);
}
int Loop::fsync(int fd, DoneHandler done, bool whole) {
  return state_->start(Kind::fsync, fd, std::move(done), whole ? 1 : 0);
}
int Loop::open(std::string path, int flags, unsigned mode, OpenHandler opened) {
  return state_->start(Kind::open, std::move(path), {}, std::move(opened), static_cast<unsigned>(flags), mode);
}
int Loop::rename(std::string from, std::string to, DoneHandler done) {
  return state_->start(Kind::rename, std::move(from), std::move(to), std::move(done));
}
int Loop::link(std::string from, std::string to, DoneHandler done) {
  return state_->start(Kind::link, std::move(from), std::move(to), std::move(done));
}
int Loop::unlink(std::string path, DoneHandler done) {
  return state_->start(Kind::unlink, std::move(path), {}, std::move(done));
}
int Loop::close(int fd, DoneHandler done) { return state_->start(Kind::close, fd, std::move(done)); }
int Loop::busy_poll(unsigned microseconds) { return state_->busy_poll(microseconds); }
const LoopCounters& Loop::counters() const { return state_->counters(); }

}  // namespace tiercast::net
