#include "relay/net/sendmmsg_fan_out.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

namespace tiercast::net {
/// A batch's headers and, behind them, its addresses. Growing moves nothing that the headers point at.
struct SendmmsgFanOut::Chunk {
  explicit Chunk(int family) : address_size(family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6)) {
    addresses = std::make_unique<std::uint8_t[]>(kBatch * address_size);
  }
  std::uint8_t* address(std::size_t i) { return addresses.get() + i * address_size; }

  std::array<mmsghdr, kBatch> headers{};
  std::size_t address_size;
  std::unique_ptr<std::uint8_t[]> addresses;
};

SendmmsgFanOut::SendmmsgFanOut(const UdpSocket& socket, FanOutCounters* counters)
    : socket_(socket), counters_(counters != nullptr ? *counters : own_counters_) {}
SendmmsgFanOut::~SendmmsgFanOut() = default;

void SendmmsgFanOut::set(std::size_t index, const Endpoint& to, const LocalAddress& from) {
  assert(index <= size_);
  if (index == size_) {
    if (index / kBatch == chunks_.size()) chunks_.push_back(std::make_unique<Chunk>(socket_.family()));
    ++size_;
  }
  Chunk& chunk = chunk_of(index);
  const std::size_t i = index % kBatch;
  msghdr& header = chunk.headers[i].msg_hdr;
  const msghdr old = header;
  header = {};
  header.msg_iov = &shared_;
  header.msg_iovlen = 1;
  header.msg_name = chunk.address(i);
  if (socket_.family() == AF_INET) {
    sockaddr_in address{};
    header.msg_namelen = to_sockaddr(to, address) ? socklen_t{sizeof address} : 0;  // 0: EDESTADDRREQ
    std::memcpy(header.msg_name, &address, sizeof address);
  } else {
    sockaddr_in6 address{};
    to_sockaddr(to, address);
    header.msg_namelen = sizeof address;
    std::memcpy(header.msg_name, &address, sizeof address);
  }
  if (socket_.is_wildcard() && !is_unspecified(from.ip)) {
    Source& source = sources_[from.ip];
    if (source.users++ == 0) {
      source.ip = from.ip;
      write_source(from, socket_.family(), source.control);
    }
    header.msg_control = &source;  // that is, its control data
    header.msg_controllen = source.control.size;
  }
  release_source(old);  // after taking the new one: it may be the same
}

void SendmmsgFanOut::release_source(const msghdr& header) {
  if (header.msg_control == nullptr) return;
  auto& source = *static_cast<Source*>(header.msg_control);
  if (--source.users == 0) sources_.erase(std::array{source.ip});
}

void SendmmsgFanOut::remove(std::size_t index) {
  assert(index < size_);
  --size_;
  // The last one is about to stand among those who have got what is under way.
  if (under_way_ && index < done_) {
    if (size_ >= done_) {
      send_some(&chunk_of(size_).headers[size_ % kBatch], 1, between_);
    } else {
      --done_;
    }
  }
  Chunk& chunk = chunk_of(index);
  Chunk& last_chunk = chunk_of(size_);
  msghdr& gone = chunk.headers[index % kBatch].msg_hdr;
  msghdr& last = last_chunk.headers[size_ % kBatch].msg_hdr;
  release_source(gone);
  if (index != size_) {
    void* const name = gone.msg_name;
    gone = last;
    gone.msg_name = name;
    std::memcpy(name, last.msg_name, chunk.address_size);
  }
  last = {};  // its source is the moved entry's now
  // One spare chunk stays, so that a table that breathes around a multiple of the batch does not allocate each time.
  const std::size_t needed = (size_ + kBatch - 1) / kBatch;
  if (chunks_.size() > needed + 1) chunks_.pop_back();
}

void SendmmsgFanOut::start(Bytes datagram) {
  shared_.iov_base = const_cast<std::uint8_t*>(datagram.data());
  shared_.iov_len = datagram.size();
  done_ = 0;
  under_way_ = true;
}

bool SendmmsgFanOut::advance(std::size_t most, forward::FanOutResult& result) {
  forward::FanOutResult now = std::exchange(between_, {});
  most = std::max<std::size_t>(most, 1);
  while (most > 0 && done_ < size_) {
    const std::size_t count = std::min({most, size_ - done_, kBatch - done_ % kBatch});
    send_some(&chunk_of(done_).headers[done_ % kBatch], count, now);
    done_ += count;
    most -= count;
  }
  counters_.sent.add(now.sent);
  result.sent += now.sent;
  result.failed += now.failed;
  under_way_ = done_ < size_;
  return under_way_;
}

void SendmmsgFanOut::send_some(mmsghdr* headers, std::size_t count, forward::FanOutResult& result) {
  bool retried = false;
  for (std::size_t next = 0; next < count;) {
    counters_.calls.add();
    const int sent =
        ::sendmmsg(socket_.fd(), headers + next, static_cast<unsigned>(count - next), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) {
      // Fewer than asked for: the one behind them failed, and the next call says why.
      next += static_cast<std::size_t>(sent);
      result.sent += static_cast<std::uint32_t>(sent);
      retried = false;
      continue;
    }
    const int error = sent < 0 ? errno : EIO;
    if (error == EINTR) continue;
    // An ICMP answer to an earlier datagram is reported on whichever is sent next: not this one's fault.
    if (error == ECONNREFUSED && !retried) {
      retried = true;
      continue;
    }
    count_failure(error);
    ++result.failed;
    ++next;
    retried = false;
  }
}

void SendmmsgFanOut::count_failure(int error) {
  switch (error) {
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM: return counters_.congested.add();
    case ECONNREFUSED: return counters_.refused.add();
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case EADDRNOTAVAIL:
    case ENODEV:
    case ENXIO: return counters_.unreachable.add();
    case EMSGSIZE: return counters_.too_large.add();
    case EPERM:
    case EACCES: return counters_.forbidden.add();
    default: return counters_.other.add();
  }
}

}  // namespace tiercast::net
