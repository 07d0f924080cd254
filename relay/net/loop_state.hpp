// The loop's inside, shared by loop.cpp (operations and the kernel's side) and loop_dispatch.cpp (completions).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "relay/net/address.hpp"
#include "relay/net/buffer_ring.hpp"
#include "relay/net/io_uring_setup.hpp"
#include "relay/net/loop.hpp"

namespace tiercast::net {

/// user_data of requests whose completion nobody waits for.
inline constexpr std::uint64_t kNobody = ~std::uint64_t{0};
/// sockaddr_in6, rounded up so that the control data behind it is aligned.
inline constexpr std::size_t kReceiveName = 32;
static_assert(kReceiveName >= sizeof(sockaddr_in6));
static_assert((sizeof(io_uring_recvmsg_out) + kReceiveName) % alignof(cmsghdr) == 0);

enum class Kind : std::uint8_t { receive, poll, write, fsync, open, rename, link, unlink, close };

enum class Stage : std::uint8_t {
  free,
  waiting,  // to be submitted by the next turn
  starved,  // to be submitted when buffers have come back
  armed,    // the kernel has it
  ended,    // its last completion is being handled
};

struct Operation {
  Kind kind = Kind::poll;
  Stage stage = Stage::free;
  bool cancelled = false;
  bool background = false;
  std::uint8_t socket = 0;
  int fd = -1;
  std::uint32_t generation = 0;
  unsigned held = 0;  // buffers put aside
  DatagramHandler* handler = nullptr;
  std::optional<BufferRing> buffers;
  std::function<void(int)> callback;
  unsigned events = 0;  // of a poll; flags of an open, and whether an fsync is a whole one
  Bytes rest;
  std::uint64_t offset = 0;  // of a write; mode of an open
  std::string path, to;      // as long as the kernel may look at them
};

/// A datagram of a background receiver, put aside until nothing else is there.
struct Aside {
  std::uint32_t index = 0;
  std::uint32_t generation = 0;
  std::uint16_t buffer = 0;
  int size = 0;
};

class Loop::State {
 public:
  State(Uring uring, unsigned operations) : uring_(std::move(uring)), ring_(uring_.get()), operations_(operations) {
    shape_.msg_namelen = kReceiveName;
    shape_.msg_controllen = kReceiveControl;
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State();

  unsigned turn(Time deadline, unsigned max_completions);
  int receive(int fd, DatagramHandler& handler, const ReceiveOptions& options);
  bool receives(int fd) const;
  int start(Kind kind, int fd, std::function<void(int)> callback, unsigned events = 0, Bytes data = {},
            std::uint64_t offset = 0);
  int start(Kind kind, std::string path, std::string to, std::function<void(int)> callback, unsigned flags = 0,
            unsigned mode = 0);
  template <class Match>
  void cancel(Match match);
  int busy_poll(unsigned microseconds);
  std::optional<WallTime> stamp() const {
    return control_.empty() ? std::nullopt : read_stamp(control_.data(), control_.size());
  }
  const LoopCounters& counters() const { return counters_; }

 private:
  Operation* take();
  void wait(Operation& op);
  void release(Operation& op);
  std::uint32_t index(const Operation& op) const { return static_cast<std::uint32_t>(&op - operations_.data()); }
  std::uint64_t tag(const Operation& op) const { return std::uint64_t{op.generation} << 32 | index(op); }

  io_uring_sqe* submission();
  void arm_waiting();
  void arm(Operation& op, io_uring_sqe& sqe);
  void enter(Time deadline);
  void collect();
  bool kernel_has_news() const;

  unsigned dispatch(const io_uring_cqe& cqe);
  unsigned dispatch_aside();
  unsigned on_received(Operation& op, int result, unsigned flags);
  unsigned on_polled(Operation& op, int result, unsigned flags);
  unsigned on_file(Operation& op, int result);
  void deliver(Operation& op, std::uint16_t buffer, int size);
  void call(Operation& op, int argument);
  void settle(Operation& op);

  Uring uring_;
  io_uring& ring_;
  std::vector<Operation> operations_;  // never grows: handlers hold references while they run
  std::size_t used_ = 0;               // operations below this index have been used
  std::size_t waiting_ = 0;
  const Operation* running_ = nullptr;  // whose handler runs
  Bytes control_;                       // of the datagram that is being handed over
  bool enabled_ = false;
  bool turning_ = false;
  msghdr shape_{};            // of every received message: room for the address and control data
  std::vector<Aside> aside_;  // ring of as many as background receivers have buffers
  std::size_t aside_head_ = 0;
  std::size_t aside_size_ = 0;
  LoopCounters counters_;
};

}  // namespace tiercast::net
