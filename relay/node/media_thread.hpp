// The thread of a source that is a file, a pipe or standard input: reads and encodes it, lets packets go in real time,
// and hands them to the feed as RTP. Blocks as it likes; knows nothing of groups' clocks, keys or listeners.
#pragma once

#include <array>
#include <atomic>
#include <thread>

#include "relay/base/spsc_ring.hpp"
#include "relay/net/wake.hpp"
#include "relay/node/media_file.hpp"
#include "relay/node/messages.hpp"
#include "relay/publish/pacer.hpp"
#include "relay/publish/rtp_stream.hpp"

namespace tiercast::node {

struct MediaItem {
  enum class Kind : std::uint8_t {
    packet,
    end,     // of the file, or the writer closed the pipe: the broadcast is over
    failed,  // it was never what it should be: a node that goes on would broadcast nothing
  };
  Kind kind = Kind::packet;
  std::uint16_t size = 0;
  std::array<std::uint8_t, publish::RtpStream::kHeader + wire::kMaxOpus> bytes{};
  Bytes datagram() const { return Bytes{bytes}.first(size); }
};

class MediaThread {
 public:
  struct Setup {
    GroupIndex group;
    std::string group_name;
    std::uint8_t frame_ms = 20;
    Random* random = nullptr;   // read during construction only
    net::Wake* bell = nullptr;  // of who takes; outlives it
  };
  MediaThread(const Setup& setup, std::unique_ptr<MediaFile> file);
  /// Stops it; what it has read is dropped.
  ~MediaThread();

  void start();
  GroupIndex group() const { return group_; }
  /// What has become due, oldest first; the bell rings when there is something.
  std::optional<MediaItem> take() { return ready_.pop(); }
  /// For the log, once it has ended or failed: what it is, how long it was.
  const std::string& name() const { return file_->name(); }
  bool is_pipe() const { return file_->is_pipe(); }
  Duration played() const { return frame_ * static_cast<Duration::rep>(played_.get()); }
  const publish::OggReaderCounters* ogg_counters() const { return file_->reader().counters(); }

 private:
  void run();
  std::optional<publish::MediaPacket> next_packet();
  void tell_notices();
  void fail(const std::string& why);
  bool wait_until(Time at);
  bool hand_over();

  const GroupIndex group_;
  const std::string group_name_;
  const Duration frame_;
  net::Wake& bell_;
  std::unique_ptr<MediaFile> file_;
  publish::RtpStream rtp_;
  publish::Pacer pacer_;
  SpscRing<MediaItem> ready_;
  MediaItem item_;                      // being filled
  Counter played_;                      // frame lengths
  std::unique_ptr<net::Wake> stopper_;  // rung once, and never heard by a loop
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace tiercast::node
