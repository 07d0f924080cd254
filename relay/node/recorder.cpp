#include "relay/node/recorder.hpp"

#include <algorithm>

namespace tiercast::node {
namespace {

using receive::FinishedBy;
using receive::Played;
using receive::PlayedKind;

receive::PlayoutConfig playout_config(const Group& group) {
  receive::PlayoutConfig config;
  config.group = group.id;
  config.frame = group.frame;
  // Nobody waits for it: what a resume brings after an outage is worth more than haste.
  config.delay = wire::kNackPatience;
  for (const auto& source : group.sources) config.sources.push_back({source.id, source.key});
  return config;
}

}  // namespace

Recorder::Recorder(const Group& group, std::unique_ptr<receive::Recordings> files, Options options,
                   std::uint32_t serial)
    : group_name_(group.name),
      frame_(group.frame),
      samples_(static_cast<unsigned>(group.frame.count()) * receive::kOpusRate / 1000),
      options_(std::move(options)),
      serial_(serial),
      playout_(playout_config(group)),
      files_(std::move(files)) {}

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
  files_->on_timer(now.mono);
  drain(now);
  if (!writer_) return;
  if (now.mono >= silent_at()) {
    finish_file(FinishedBy::silence);
  } else if (page_since_ && now.mono >= *page_since_ + kFlushAfter) {
    writer_->flush();
    flush(now.mono);
    page_since_.reset();
  }
}

Time Recorder::next_deadline() const {
  const bool waits = awaiting_until_.has_value();
  Time next = std::min(files_->next_deadline(), waits ? *awaiting_until_ : playout_.next_deadline());
  if (!writer_) return next;
  next = std::min(next, silent_at());
  if (page_since_) next = std::min(next, *page_since_ + kFlushAfter);
  return next;
}

/// When there has been no audio for too long. What waits behind something that is missing may be audio.
Time Recorder::silent_at() const {
  if (options_.silence == Duration{0}) return kNever;
  bool waits = false;
  playout_.each_ahead([&](const Played&) { waits = true; });
  return waits ? kNever : last_audio_ + options_.silence;
}

void Recorder::on_leftover(const std::optional<Leftover>& leftover) {
  awaiting_until_.reset();
  if (leftover && !writer_ && !before_) before_ = Before{leftover->file, leftover->next, FinishedBy::recovered};
}

void Recorder::drain(Moment now) {
  now_ = now;
  if (awaiting_until_ && now.mono < *awaiting_until_) return;
  awaiting_until_.reset();
  Played played;
  while (playout_.next(played))
    if (!finished_) take(played, now);
}

void Recorder::take(const Played& played, Moment now) {
  const bool audio = played.kind == PlayedKind::frame && receive::opus_samples(played.opus) == samples_;
  if (writer_ && played.sequence != next_ && !fill(played.sequence)) finish_file(FinishedBy::jump);
  if (!writer_) {
    if (audio && !begin(played, now)) counters_.drop_ticks.add();
    if (!writer_) {
      if (played.end) before_.reset();
      return;
    }
  }
  if (audio) last_audio_ = now.mono;
  add(played);
  flush(now.mono);
  if (played.end) {
    finish_file(FinishedBy::end);
    before_.reset();
  } else if (full_) {
    finish_file(FinishedBy::disk);
  }
}

/// False: it is for another file.
bool Recorder::fill(Sequence upto) {
  if (upto < next_ || frame_ * static_cast<Duration::rep>(upto.value - next_.value) > kMostFilled) return false;
  while (next_ < upto) {
    Played skipped;
    skipped.sequence = next_;
    add(skipped);
    counters_.filled.add();
  }
  return true;
}

bool Recorder::begin(const Played& played, Moment now) {
  std::optional<receive::RecordingGap> gap;
  // A clock that was set back tells nothing of how much is missing.
  if (before_ && before_->next < played.sequence)
    gap =
        receive::RecordingGap{before_->next, played.sequence.value - before_->next.value, before_->why, before_->file};
  if (!files_->begin(now.wall, gap, frame_)) return false;
  receive::OggOpusConfig config{.frame = frame_, .serial = serial_++, .group = group_name_, .started = now.wall};
  config.page_ticks = static_cast<unsigned>(kPage / frame_);
  config.comments = {"TIERCAST_NODE=" + options_.node, "TIERCAST_SEQUENCE=" + std::to_string(played.sequence.value),
                     "TIERCAST_FRAME_MS=" + std::to_string(frame_.count())};
  if (before_) config.comments.push_back("TIERCAST_FOLLOWS=" + before_->file);
  if (gap) {
    counters_.gaps.add();
    config.comments.push_back("TIERCAST_GAP=" + std::to_string(gap->ticks) + " ticks from sequence " +
                              std::to_string(gap->from.value) + ": " + receive::to_text(gap->why));
  }
  writer_.emplace(config);
  next_ = played.sequence;
  full_ = false;
  page_since_.reset();
  return true;
}

void Recorder::add(const Played& played) {
  // What it holds goes on at once, so that it always has room for a tick.
  if (const Bytes pages = (writer_->add(played), writer_->take()); !pages.empty()) {
    full_ = !files_->append(pages) || full_;
    page_since_.reset();
  }
  counters_.ticks.add();
  next_ = played.sequence.next();
}

void Recorder::flush(Time now) {
  if (const Bytes pages = writer_->take(); !pages.empty()) full_ = !files_->append(pages) || full_;
  if (!page_since_) page_since_ = now;
}

void Recorder::finish_file(FinishedBy why) {
  if (!writer_) return;
  writer_->finish();
  if (const Bytes pages = writer_->take(); !pages.empty()) files_->append(pages);
  std::string file = files_->health().file;
  file.erase(0, file.rfind('/') + 1);  // npos + 1 is 0
  files_->finish(why);
  writer_.reset();
  before_ = Before{file, next_, why};
}

void Recorder::finish(FinishedBy why) {
  // What waits behind something that is missing waits no longer.
  playout_.each_ahead([&](const Played& played) {
    if (writer_) take(played, now_);
  });
  finish_file(why);
  finished_ = true;
}

}  // namespace tiercast::node
