// The sink of samples for who plays them: from the jitter buffer, at the pace of the reader's sound card.
#include <algorithm>

#include "relay/node/listen_sinks.hpp"
#include "relay/receive/reader_pace.hpp"
#include "relay/receive/sample_player.hpp"
#include "relay/receive/wav_writer.hpp"

namespace tiercast::node {
namespace {

class LiveSampleSink final : public ListenSink {
 public:
  LiveSampleSink(OutputFile file, int channels, const LiveDelay& delay)
      : file_(std::move(file)), channels_(channels), delay_(delay) {}
  void begin(std::chrono::milliseconds frame, WallTime) override {
    file_.set_bound(static_cast<std::size_t>(kBacklog / frame));
    player_.emplace(receive::JitterBufferConfig{.frame = frame, .most = delay_.most, .fixed = delay_.fixed}, channels_);
  }
  void on_ahead(const receive::Played& played, Moment now) override { player_->buffer().on_ahead(played, now.mono); }
  void on_played(const receive::Played& played, Moment now) override { player_->buffer().on_played(played, now.mono); }
  void on_turn(Moment now) override {
    file_.pump();
    if (!player_ || status().state != OutputStatus::State::open) return;
    if (!prefill_) prefill_.emplace(now.mono);
    if (!sounds_) {
      write_silence(prefill_->more(backlog(), now.mono));
      next_look_ = now.mono + receive::Prefill::kLook;
    }
    while (true) {
      const auto samples = player_->next(now.mono, pace_.pace());
      if (samples.empty()) break;
      if (!prefill_->done()) continue;  // nobody plays yet
      sounds_ = true;
      pace_.on_backlog(backlog(), now.mono);
      write(samples);
    }
  }
  Time next_deadline() const override {
    if (!player_ || status().state != OutputStatus::State::open) return kNever;
    const Time next = player_->buffer().next_deadline();
    return sounds_ || !prefill_ ? next : std::min(next, next_look_);
  }
  bool idle() const override {
    return !player_ || player_->buffer().idle() || status().state != OutputStatus::State::open;
  }
  void finish() override {
    if (player_)
      for (auto samples = player_->flush(); !samples.empty(); samples = player_->flush()) write(samples);
    file_.finish(kLastPatience);
  }
  const OutputStatus& status() const override { return file_.status(); }
  std::optional<PlayerFigures> player(Time now) const override {
    if (!player_) return std::nullopt;
    return figures_of(player_->buffer(), now);
  }
  void each_counter(const PutCounter& put) const override {
    if (player_) player_->each(put);
  }

 private:
  void write(std::span<const std::int16_t> samples) { file_.write(receive::to_s16le(samples, bytes_)); }
  void write_silence(Duration span) {
    const auto samples = static_cast<std::size_t>(span * receive::kOpusRate / 1s) * static_cast<std::size_t>(channels_);
    silence_.assign(samples, 0);
    write(silence_);
  }
  Duration backlog() const {
    const auto samples = static_cast<Duration::rep>(file_.backlog()) / (2 * channels_);
    return samples * Duration{1s} / static_cast<Duration::rep>(receive::kOpusRate);
  }

  OutputFile file_;
  const int channels_;
  const LiveDelay delay_;
  std::optional<receive::SamplePlayer> player_;
  std::optional<receive::Prefill> prefill_;
  receive::ReaderPace pace_;
  Time next_look_;
  bool sounds_ = false;
  std::vector<std::int16_t> silence_;
  std::vector<std::uint8_t> bytes_;
};

}  // namespace

std::unique_ptr<ListenSink> make_live_sample_sink(OutputFile file, int channels, const LiveDelay& delay) {
  return std::make_unique<LiveSampleSink>(std::move(file), channels, delay);
}

}  // namespace tiercast::node
