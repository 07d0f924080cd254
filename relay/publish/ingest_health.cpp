// Texts, rates and the log's restraint.
#include "relay/publish/ingest_health.hpp"

#include <fmt/format.h>

#include "relay/wire/limits.hpp"

namespace tiercast::publish {

std::string to_text(const Refusal& refusal, std::uint8_t frame_ms) {
  switch (refusal.reason) {
    case RefusalReason::malformed:
      return "what arrives is not RTP version 2: send RTP with Opus to this port, for example "
             "ffmpeg … -c:a libopus -f rtp rtp://ADDRESS:PORT";
    case RefusalReason::payload_type:
      return fmt::format("RTP payload type {} is not Opus: Opus has a dynamic one, 96 to 127", refusal.detail);
    case RefusalReason::not_opus:
      return "the RTP payload is not an Opus packet: encode with Opus (ffmpeg -c:a libopus, GStreamer opusenc and "
             "rtpopuspay)";
    case RefusalReason::other_duration:
      return fmt::format(
          "Opus packets of {} ms arrive, but the group has frame_ms = {}: set the encoder's frame "
          "length to {} ms (ffmpeg -frame_duration {}, GStreamer opusenc frame-size={})",
          static_cast<double>(refusal.detail) / 48.0, frame_ms, frame_ms, frame_ms, frame_ms);
    case RefusalReason::too_long:
      return fmt::format(
          "an Opus packet of {} bytes is longer than {}: lower the encoder's bitrate, to {} kbit/s or less",
          refusal.detail, wire::kMaxOpus, wire::kMaxOpus * 8 / frame_ms);
    case RefusalReason::too_fast:
      return "packets arrive faster than real time: send in real time (ffmpeg -re before -i, GStreamer sink sync=true)";
  }
  return {};
}

Counter& IngestCounters::of(RefusalReason reason) {
  switch (reason) {
    case RefusalReason::payload_type: return payload_type;
    case RefusalReason::not_opus: return not_opus;
    case RefusalReason::other_duration: return other_duration;
    case RefusalReason::too_long: return too_long;
    case RefusalReason::too_fast: return too_fast;
    case RefusalReason::malformed: break;
  }
  return malformed;
}

void RateMeter::add(std::size_t bytes, Time now) {
  const std::int64_t number = slice_of(now);
  Slice& slice = slices_[static_cast<std::size_t>(number) % slices_.size()];
  if (slice.number != number) slice = {number, 0};
  slice.bytes += bytes;
}

std::uint64_t RateMeter::bits_per_second(Time now) const {
  const std::int64_t number = slice_of(now);
  std::uint64_t bytes = 0;
  for (const Slice& slice : slices_)
    if (slice.number >= 0 && number - slice.number < kSlices) bytes += slice.bytes;
  return bytes * 8 * 1000 / static_cast<std::uint64_t>(kSlices * kSlice / 1ms);
}

std::optional<Refusal> RefusalNotice::take(Time now) {
  if (!last_ || (told_ && now - told_at_ < 1s)) return std::nullopt;
  // Lengths in bytes differ from packet to packet: that is no change.
  const bool same = told_ && told_->reason == last_->reason &&
                    (told_->detail == last_->detail || last_->reason == RefusalReason::too_long);
  if (same) return std::nullopt;
  told_ = last_;
  told_at_ = now;
  return told_;
}

}  // namespace tiercast::publish
