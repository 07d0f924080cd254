#include "relay/node/listen_sinks.hpp"

#include "crypto/signature.hpp"

namespace tiercast::node {
namespace {

const char* to_text(receive::PlayedKind kind) {
  switch (kind) {
    case receive::PlayedKind::frame: return "frame";
    case receive::PlayedKind::empty: return "empty";
    case receive::PlayedKind::lost: return "lost";
  }
  return "?";
}

class OggSink final : public ListenSink {
 public:
  OggSink(OutputFile file, GroupId group, std::uint32_t serial)
      : file_(std::move(file)), group_(group), serial_(serial) {}
  void begin(std::chrono::milliseconds frame, WallTime now) override {
    file_.set_bound(static_cast<std::size_t>(kBacklog / frame));
    writer_.emplace(
        receive::OggOpusConfig{frame, serial_, "group " + std::to_string(group_.value), now, !file_.regular()});
  }
  void on_played(const receive::Played& played, Moment) override {
    writer_->add(played);
    flush();
  }
  void on_turn(Moment) override { file_.pump(); }
  void finish() override {
    if (writer_) {
      writer_->finish();
      flush();
    }
    file_.finish(kLastPatience);
  }
  const OutputStatus& status() const override { return file_.status(); }
  void each_counter(const PutCounter& put) const override {
    if (writer_) writer_->counters().each(put);
  }

 private:
  /// The first bytes are the headers, without which nobody can play the rest.
  void flush() {
    const Bytes bytes = writer_->take();
    if (bytes.empty()) return;
    file_.write(bytes, !begun_);
    begun_ = true;
  }
  OutputFile file_;
  GroupId group_;
  std::uint32_t serial_;
  bool begun_ = false;
  std::optional<receive::OggOpusWriter> writer_;
};

class LogSink final : public ListenSink {
 public:
  explicit LogSink(OutputFile file) : file_(std::move(file)) {}
  void begin(std::chrono::milliseconds frame, WallTime) override {
    file_.set_bound(static_cast<std::size_t>(kBacklog / frame));
  }
  void on_played(const receive::Played& played, Moment now) override {
    std::array<char, 160> line{};
    int length =
        std::snprintf(line.data(), line.size(), "%llu %s %zu ", static_cast<unsigned long long>(played.sequence.value),
                      to_text(played.kind), played.opus.size());
    for (const std::uint8_t b : crypto::attest_hash(played.opus))
      length += std::snprintf(line.data() + length, line.size() - static_cast<std::size_t>(length), "%02x", b);
    // The arrival is on the machine's monotonic clock, whose readers may be others on it; no step of the wall's shows.
    length += std::snprintf(line.data() + length, line.size() - static_cast<std::size_t>(length), " %.3f %.3f\n",
                            milliseconds(now.mono - played.arrived), milliseconds(played.arrived.time_since_epoch()));
    file_.write(std::string{line.data(), static_cast<std::size_t>(length)});
  }
  void on_turn(Moment) override { file_.pump(); }
  void finish() override { file_.finish(kLastPatience); }
  const OutputStatus& status() const override { return file_.status(); }
  bool audio() const override { return false; }

 private:
  OutputFile file_;
};

}  // namespace

std::unique_ptr<ListenSink> make_ogg_sink(OutputFile file, GroupId group, std::uint32_t serial) {
  return std::make_unique<OggSink>(std::move(file), group, serial);
}
std::unique_ptr<ListenSink> make_log_sink(OutputFile file) { return std::make_unique<LogSink>(std::move(file)); }

}  // namespace tiercast::node
