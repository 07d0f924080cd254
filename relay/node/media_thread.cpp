#include "relay/node/media_thread.hpp"

#include <poll.h>
#include <pthread.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "relay/net/loop.hpp"
#include "relay/ops/log.hpp"

namespace tiercast::node {
namespace {

constexpr std::size_t kReady = 64;         // packets: more than the ingest holds, or a stalled feed misses
constexpr Duration kFeedIsStalled = 10ms;  // then its ring is looked at again

}  // namespace

MediaThread::MediaThread(const Setup& setup, std::unique_ptr<MediaFile> file)
    : group_(setup.group),
      group_name_(setup.group_name),
      frame_(std::chrono::milliseconds{setup.frame_ms}),
      bell_(*setup.bell),
      file_(std::move(file)),
      rtp_(setup.frame_ms, *setup.random),
      pacer_(frame_, file_->is_pipe() ? publish::Pacer::Source::pipe : publish::Pacer::Source::file),
      ready_(kReady) {
  auto stopper = net::Wake::create();
  if (!stopper) throw std::bad_alloc();
  stopper_ = std::move(*stopper);
}

MediaThread::~MediaThread() {
  if (!thread_.joinable()) return;
  stop_.store(true, std::memory_order_release);
  stopper_->signal();
  thread_.join();
}

void MediaThread::start() {
  thread_ = std::thread{[this] { run(); }};
}

void MediaThread::run() {
  pthread_setname_np(pthread_self(), "media");
  while (const auto packet = next_packet()) {
    const Time at = pacer_.leaves(net::read_clocks().mono, packet->silence);
    item_.kind = MediaItem::Kind::packet;
    item_.size = static_cast<std::uint16_t>(rtp_.write(*packet, item_.bytes));
    if (!wait_until(at) || !hand_over()) return;
    played_.add(packet->silence + 1);
  }
}

/// Waits for it; nullopt: there is none any more, and why has been told.
std::optional<publish::MediaPacket> MediaThread::next_packet() {
  while (!stop_.load(std::memory_order_acquire)) {
    if (const auto packet = file_->next()) return packet;
    tell_notices();
    if (!file_->reader().problem().empty()) {
      fail(file_->reader().problem());
      break;
    }
    if (file_->ended()) {
      item_.kind = MediaItem::Kind::end;
      if (wait_until(pacer_.leaves(net::read_clocks().mono, 0))) hand_over();
      break;
    }
    pollfd wanted[] = {{file_->fd(), POLLIN, 0}, {stopper_->fd(), POLLIN, 0}};
    if (::poll(wanted, 2, -1) < 0 || wanted[0].revents == 0) continue;
    if (const int error = file_->read(); error != 0) {
      fail(std::string{"cannot read it: "} + std::strerror(error));
      break;
    }
  }
  return std::nullopt;
}

void MediaThread::tell_notices() {
  while (const auto notice = file_->reader().take_notice())
    ops::log::warning("input_damaged", {{"group", group_name_}, {"input", file_->name()}, {"reason", *notice}});
}

/// What has been played cannot be taken back, and is no end: then the group goes on without audio.
void MediaThread::fail(const std::string& why) {
  const bool never = played_.get() == 0;
  ops::log::error("input_failed", {{"group", group_name_},
                                   {"input", file_->name()},
                                   {"reason", why},
                                   {"hint", never ? "the node stops" : "the broadcast goes on in silence"}});
  item_.kind = MediaItem::Kind::failed;
  if (never) hand_over();
}

/// False: stopped.
bool MediaThread::wait_until(Time at) {
  while (!stop_.load(std::memory_order_acquire)) {
    const Duration left = at - net::read_clocks().mono;
    if (left <= Duration{0}) return true;
    const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
    const timespec timeout{seconds.count(), (left - seconds).count()};
    pollfd wanted{stopper_->fd(), POLLIN, 0};
    ::ppoll(&wanted, 1, &timeout, nullptr);
  }
  return false;
}

/// item_, however long the feed takes to have room. False: stopped.
bool MediaThread::hand_over() {
  while (!ready_.push(MediaItem{item_})) {
    bell_.signal();
    if (!wait_until(net::read_clocks().mono + kFeedIsStalled)) return false;
  }
  bell_.signal();
  return true;
}

}  // namespace tiercast::node
