// Records a group inside a node: a downstream that needs no socket. Frames in, the bytes of an Ogg Opus file out.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "relay/node/group.hpp"
#include "relay/receive/ogg_opus.hpp"
#include "relay/receive/playout.hpp"
#include "relay/receive/recording_file.hpp"

namespace tiercast::node {

class Recorder {
 public:
  Recorder(const Group& group, std::unique_ptr<receive::RecordingFile> file, std::uint32_t serial);
  void on_epoch(const wire::EpochRecord& epoch) { playout_.on_epoch(epoch); }
  void on_frame(Bytes datagram, Moment now);
  void on_attest(Bytes datagram, Moment now);
  void on_timer(Moment now);
  Time next_deadline() const { return playout_.next_deadline(); }
  void finish();
  bool settled() const { return file_->settled(); }
  const receive::PlayoutCounters& counters() const { return playout_.counters(); }
  const receive::RecordingCounters& file_counters() const { return file_->counters(); }
  std::uint64_t ticks() const { return ticks_; }

 private:
  void drain(Moment now);
  void flush();
  const std::string group_name_;
  const std::chrono::milliseconds frame_;
  const std::uint32_t serial_;
  receive::Playout playout_;
  std::unique_ptr<receive::RecordingFile> file_;
  std::optional<receive::OggOpusWriter> writer_;
  std::uint64_t ticks_ = 0;
  bool finished_ = false;
};

}  // namespace tiercast::node
