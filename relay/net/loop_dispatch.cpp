#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>

#include "relay/net/loop_state.hpp"

namespace tiercast::net {
namespace {

/// Errors that another try cannot mend: the descriptor is wrong, or the kernel does not know the request.
bool is_final(int error) {
  return error == EBADF || error == ENOTSOCK || error == EOPNOTSUPP || error == EINVAL || error == EFAULT ||
         error == ENOTCONN || error == ESHUTDOWN;
}

}  // namespace

unsigned Loop::State::dispatch(const io_uring_cqe& cqe) {
  if (cqe.user_data == kNobody) return 0;
  Operation& op = operations_[static_cast<std::uint32_t>(cqe.user_data)];
  assert(op.generation == cqe.user_data >> 32);  // released only after its last completion
  switch (op.kind) {
    case Kind::receive: return on_received(op, cqe.res, cqe.flags);
    case Kind::poll: return on_polled(op, cqe.res, cqe.flags);
    default: return on_file(op, cqe.res);
  }
  return 0;
}

/// Whoever is neither with the kernel nor cancelled is started again.
void Loop::State::settle(Operation& op) {
  if (op.stage == Stage::armed) return;
  if (op.cancelled) {
    release(op);
  } else if (op.stage == Stage::ended || op.stage == Stage::starved) {
    if (op.buffers && op.held * 2 > op.buffers->count()) {
      op.stage = Stage::starved;
    } else {
      counters_.rearmed.add();
      wait(op);
    }
  }
}

unsigned Loop::State::on_received(Operation& op, int result, unsigned flags) {
  unsigned done = 0;
  if ((flags & IORING_CQE_F_MORE) == 0) op.stage = Stage::ended;
  if ((flags & IORING_CQE_F_BUFFER) != 0) {
    const auto buffer = static_cast<std::uint16_t>(flags >> IORING_CQE_BUFFER_SHIFT);
    if (op.background && !op.cancelled && result > 0) {
      aside_[(aside_head_ + aside_size_++) % aside_.size()] = {index(op), op.generation, buffer, result};
      ++op.held;
    } else {
      if (!op.cancelled && result > 0) {
        deliver(op, buffer, result);
        done = 1;
      }
      op.buffers->give_back(buffer);
    }
  } else if (result == -ENOBUFS) {
    counters_.no_buffers.add();
  } else if (result < 0 && result != -EINTR && result != -EAGAIN && !op.cancelled) {
    counters_.errors.add();
    op.cancelled = is_final(-result);
    running_ = &op;
    op.handler->on_error(-result);
    running_ = nullptr;
    done = 1;
  }
  settle(op);
  return done;
}

unsigned Loop::State::dispatch_aside() {
  const Aside next = aside_[aside_head_];
  aside_head_ = (aside_head_ + 1) % aside_.size();
  --aside_size_;
  Operation& op = operations_[next.index];
  if (op.generation != next.generation) return 0;  // released, and its buffers with it
  --op.held;
  const bool wanted = !op.cancelled;
  if (wanted) deliver(op, next.buffer, next.size);
  op.buffers->give_back(next.buffer);
  settle(op);
  return wanted ? 1 : 0;
}

void Loop::State::deliver(Operation& op, std::uint16_t buffer, int size) {
  constexpr std::size_t kBefore = sizeof(io_uring_recvmsg_out) + kReceiveName + kReceiveControl;
  std::uint8_t* const start = op.buffers->buffer(buffer).data();
  const auto used = static_cast<std::size_t>(size);
  if (used < kBefore) return counters_.malformed.add();
  const auto& header = *reinterpret_cast<const io_uring_recvmsg_out*>(start);
  if ((header.flags & MSG_TRUNC) != 0) return counters_.truncated.add();
  const auto from = from_sockaddr(start + sizeof header, std::min<std::size_t>(header.namelen, kReceiveName));
  if (!from) return counters_.malformed.add();
  control_ = {start + sizeof header + kReceiveName, std::min<std::size_t>(header.controllen, kReceiveControl)};
  LocalAddress local = read_local(control_.data(), control_.size());
  local.socket = op.socket;
  counters_.datagrams.add();
  running_ = &op;
  op.handler->on_datagram({start + kBefore, used - kBefore}, *from, local);
  running_ = nullptr;
  control_ = {};
}

void Loop::State::call(Operation& op, int argument) {
  running_ = &op;
  op.callback(argument);
  running_ = nullptr;
}

unsigned Loop::State::on_polled(Operation& op, int result, unsigned flags) {
  if ((flags & IORING_CQE_F_MORE) == 0) op.stage = Stage::ended;
  const bool wanted = !op.cancelled;
  if (wanted) {
    op.cancelled = result < 0;
    call(op, result);
  }
  settle(op);
  return wanted ? 1 : 0;
}

unsigned Loop::State::on_file(Operation& op, int result) {
  op.stage = Stage::ended;
  int error = 0;
  if (result < 0) {
    error = -result;
  } else if (op.kind == Kind::write) {
    const auto written = static_cast<std::size_t>(result);
    if (written == 0 && !op.rest.empty()) error = EIO;
    op.rest = op.rest.subspan(std::min(written, op.rest.size()));
    op.offset += written;
  }
  const bool interrupted = (error == EINTR || error == EAGAIN) && op.kind != Kind::close;
  const bool again = interrupted || (error == 0 && op.kind == Kind::write && !op.rest.empty());
  if (again && !op.cancelled) {
    settle(op);
    return 0;
  }
  const auto done = std::move(op.callback);
  const bool wanted = !op.cancelled;
  const bool opens = op.kind == Kind::open;
  release(op);  // before the call: a chain of writes needs one place
  if (wanted) {
    done(opens ? result : error);
  } else if (opens && result >= 0) {
    ::close(result);
  }
  return wanted ? 1 : 0;
}

}  // namespace tiercast::net
