#include "relay/node/listen_sinks.hpp"

#include <cerrno>
#include <cstring>

#include "crypto/signature.hpp"
#include "relay/receive/sdp.hpp"

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
  void on_turn() override { file_.pump(); }
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
    const auto ms = [](Duration d) { return std::chrono::duration<double, std::milli>(d).count(); };
    length += std::snprintf(line.data() + length, line.size() - static_cast<std::size_t>(length), " %.3f %.3f\n",
                            ms(now.mono - played.arrived), ms(played.arrived.time_since_epoch()));
    file_.write(std::string{line.data(), static_cast<std::size_t>(length)});
  }
  void on_turn() override { file_.pump(); }
  void finish() override { file_.finish(kLastPatience); }
  const OutputStatus& status() const override { return file_.status(); }
  bool audio() const override { return false; }

 private:
  OutputFile file_;
};

class RtpSink final : public ListenSink {
 public:
  RtpSink(net::UdpSocket socket, const Endpoint& to, GroupId group, Random& random, std::optional<OutputFile> sdp)
      : socket_(std::move(socket)), to_(to), group_(group), random_(random), sdp_(std::move(sdp)) {
    status_.name = "RTP to " + to_string(to_);
  }
  void begin(std::chrono::milliseconds frame, WallTime now) override {
    writer_.emplace(frame, random_);
    if (!sdp_) return;
    receive::SdpConfig config;
    config.name = "tiercast group " + std::to_string(group_.value);
    config.destination = to_;
    config.session = static_cast<std::uint64_t>(now.time_since_epoch().count());
    config.frame = frame;
    sdp_->write(receive::make_sdp(config));
  }
  void on_played(const receive::Played& played, Moment) override {
    const Bytes packet = writer_->write(played);
    if (packet.empty()) return;
    const int error = socket_.send(packet);
    if (error == 0) {
      sent_ = true;
    } else if (error != ECONNREFUSED) {  // nobody there yet: a player that starts later
      refused_.add();
      error_ = error;
    }
  }
  void on_turn() override {
    if (sdp_) sdp_->pump();
  }
  /// A network that was away for a while has cost packets. One that never took any is a failure.
  void finish() override {
    if (sdp_) sdp_->finish(kLastPatience);
    if (sent_ || error_ == 0) return;
    status_.state = OutputStatus::State::failed;
    status_.why = std::strerror(error_);
  }
  const OutputStatus& status() const override {
    return sdp_ && sdp_->status().state == OutputStatus::State::failed ? sdp_->status() : status_;
  }
  void each_counter(const PutCounter& put) const override {
    if (writer_) writer_->counters().each(put);
    put("rtp_out_drop_refused", refused_);
  }

 private:
  net::UdpSocket socket_;
  Endpoint to_;
  GroupId group_;
  Random& random_;
  std::optional<OutputFile> sdp_;
  std::optional<receive::RtpWriter> writer_;
  bool sent_ = false;
  int error_ = 0;
  Counter refused_;  // by the kernel: no route, no buffers
  OutputStatus status_;
};

}  // namespace

std::unique_ptr<ListenSink> make_ogg_sink(OutputFile file, GroupId group, std::uint32_t serial) {
  return std::make_unique<OggSink>(std::move(file), group, serial);
}
std::unique_ptr<ListenSink> make_log_sink(OutputFile file) { return std::make_unique<LogSink>(std::move(file)); }
std::unique_ptr<ListenSink> make_rtp_sink(net::UdpSocket socket, const Endpoint& to, GroupId group, Random& random,
                                          std::optional<OutputFile> sdp) {
  return std::make_unique<RtpSink>(std::move(socket), to, group, random, std::move(sdp));
}

}  // namespace tiercast::node
