#include "relay/node/recorder.hpp"

namespace tiercast::node {
namespace {

receive::PlayoutConfig playout_config(const Group& group) {
  receive::PlayoutConfig config;
  config.group = group.id;
  config.frame = group.frame;
  // Nobody waits for it: what a parent's death and a resume bring is worth more than haste.
  config.delay = 2s;
  for (const auto& source : group.sources) config.sources.push_back({source.id, source.key});
  return config;
}

}  // namespace

Recorder::Recorder(const Group& group, std::unique_ptr<receive::RecordingFile> file, std::uint32_t serial)
    : group_name_(group.name),
      frame_(group.frame),
      serial_(serial),
      playout_(playout_config(group)),
      file_(std::move(file)) {}

void Recorder::on_frame(Bytes datagram, Moment now) {
  playout_.on_frame(datagram, now.mono);
  drain(now);
}

void Recorder::on_attest(Bytes datagram, Moment now) {
  playout_.on_attest(datagram, now.mono);
  drain(now);
}

void Recorder::on_timer(Moment now) {
  playout_.on_timer(now.mono);
  drain(now);
}

void Recorder::drain(Moment now) {
  receive::Played played;
  while (playout_.next(played)) {
    if (finished_) continue;
    if (!writer_) writer_.emplace(receive::OggOpusConfig{frame_, serial_, group_name_, now.wall});
    writer_->add(played);
    ++ticks_;
    flush();
    if (played.end) finish();
  }
}

void Recorder::flush() {
  const Bytes bytes = writer_->take();
  if (!bytes.empty()) file_->append(bytes);
}

void Recorder::finish() {
  if (finished_) return;
  finished_ = true;
  if (writer_) {
    writer_->finish();
    flush();
  }
  file_->close();
}

}  // namespace tiercast::node
