// The sink of decoded audio: raw samples or WAV.
#include "relay/node/listen_sinks.hpp"
#include "relay/receive/opus_decoder.hpp"
#include "relay/receive/wav_writer.hpp"

namespace tiercast::node {
namespace {

class SampleSink final : public ListenSink {
 public:
  SampleSink(OutputFile file, SampleFormat format, int channels)
      : file_(std::move(file)), format_(format), channels_(channels) {}
  void begin(std::chrono::milliseconds frame, WallTime) override {
    file_.set_bound(static_cast<std::size_t>(kBacklog / frame));
    decoder_.emplace(frame, channels_);
    if (format_ == SampleFormat::wav) file_.write(receive::make_wav_header(channels_, std::nullopt), true);
  }
  void on_played(const receive::Played& played, Moment) override {
    file_.write(receive::to_s16le(decoder_->decode(played), buffer_));
  }
  void on_turn(Moment) override { file_.pump(); }
  void finish() override {
    file_.finish(kLastPatience);
    // Also where the disk was full: what is in the file is all there is.
    if (format_ == SampleFormat::wav && file_.regular() && file_.bytes() >= receive::kWavHeader)
      file_.overwrite(receive::make_wav_header(channels_, file_.bytes() - receive::kWavHeader), 0);
  }
  const OutputStatus& status() const override { return file_.status(); }
  void each_counter(const PutCounter& put) const override {
    if (decoder_) decoder_->counters().each(put);
  }

 private:
  OutputFile file_;
  const SampleFormat format_;
  const int channels_;
  std::optional<receive::Decoder> decoder_;
  std::vector<std::uint8_t> buffer_;
};

}  // namespace

std::unique_ptr<ListenSink> make_sample_sink(OutputFile file, SampleFormat format, int channels) {
  return std::make_unique<SampleSink>(std::move(file), format, channels);
}

}  // namespace tiercast::node
