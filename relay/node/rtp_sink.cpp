// The sink of RTP: packets at an even pace, from the jitter buffer.
#include <cerrno>
#include <cmath>
#include <cstring>

#include "relay/node/listen_sinks.hpp"
#include "relay/receive/jitter_buffer.hpp"
#include "relay/receive/sdp.hpp"

namespace tiercast::node {
namespace {

class RtpSink final : public ListenSink {
 public:
  RtpSink(net::UdpSocket socket, const Endpoint& to, GroupId group, Random& random, std::optional<OutputFile> sdp,
          const LiveDelay& delay)
      : socket_(std::move(socket)), to_(to), group_(group), random_(random), sdp_(std::move(sdp)), delay_(delay) {
    status_.name = "RTP to " + to_string(to_);
  }
  void begin(std::chrono::milliseconds frame, WallTime now) override {
    writer_.emplace(frame, random_);
    frame_ = frame;
    buffer_.emplace(
        receive::JitterBufferConfig{.frame = frame, .most = delay_.most, .fixed = delay_.fixed, .most_rate = kHurry});
    if (!sdp_) return;
    receive::SdpConfig config;
    config.name = "tiercast group " + std::to_string(group_.value);
    config.destination = to_;
    config.session = static_cast<std::uint64_t>(now.time_since_epoch().count());
    config.frame = frame;
    sdp_->write(receive::make_sdp(config));
  }
  void on_ahead(const receive::Played& played, Moment now) override { buffer_->on_ahead(played, now.mono); }
  void on_played(const receive::Played& played, Moment now) override { buffer_->on_played(played, now.mono); }
  void on_turn(Moment now) override {
    receive::JitterTick tick;
    while (buffer_ && buffer_->next(tick, false, now.mono)) {
      send(tick);
      if (tick.may_leave_out && tick.played.kind == receive::PlayedKind::empty) {
        buffer_->leave_out();
      } else {
        buffer_->on_output(Duration{std::llround(static_cast<double>(frame_.count()) * (1 - tick.rate))});
      }
    }
    if (sdp_) sdp_->pump();
  }
  Time next_deadline() const override { return buffer_ ? buffer_->next_deadline() : kNever; }
  bool idle() const override { return !buffer_ || buffer_->idle(); }
  /// A network that was away for a while has cost packets. One that never took any is a failure.
  void finish() override {
    for (receive::JitterTick tick; buffer_ && buffer_->flush(tick);) send(tick);
    if (sdp_) sdp_->finish(kLastPatience);
    if (sent_ || error_ == 0) return;
    status_.state = OutputStatus::State::failed;
    status_.why = std::strerror(error_);
  }
  const OutputStatus& status() const override {
    return sdp_ && sdp_->status().state == OutputStatus::State::failed ? sdp_->status() : status_;
  }
  std::optional<PlayerFigures> player(Time now) const override {
    if (!buffer_) return std::nullopt;
    return figures_of(*buffer_, now);
  }
  void each_counter(const PutCounter& put) const override {
    if (buffer_) buffer_->counters().each(put);
    if (writer_) writer_->counters().each(put);
    put("rtp_out_drop_refused", refused_);
  }

 private:
  // A receiver has a buffer of its own: it does not hear that packets come a little more quickly.
  static constexpr double kHurry = 0.05;
  void send(const receive::JitterTick& tick) {
    if (tick.turn == receive::JitterTick::Turn::insert) return;  // time goes on, and nothing is missing
    const Bytes packet = writer_->write(tick.played);
    if (packet.empty()) return;
    const int error = socket_.send(packet);
    if (error == 0) {
      sent_ = true;
    } else if (error != ECONNREFUSED) {  // nobody there yet: a player that starts later
      refused_.add();
      error_ = error;
    }
  }
  net::UdpSocket socket_;
  Endpoint to_;
  GroupId group_;
  Random& random_;
  std::optional<OutputFile> sdp_;
  const LiveDelay delay_;
  Duration frame_{0};
  std::optional<receive::JitterBuffer> buffer_;
  std::optional<receive::RtpWriter> writer_;
  bool sent_ = false;
  int error_ = 0;
  Counter refused_;  // by the kernel: no route, no buffers
  OutputStatus status_;
};

}  // namespace

std::unique_ptr<ListenSink> make_rtp_sink(net::UdpSocket socket, const Endpoint& to, GroupId group, Random& random,
                                          std::optional<OutputFile> sdp, const LiveDelay& delay) {
  return std::make_unique<RtpSink>(std::move(socket), to, group, random, std::move(sdp), delay);
}

}  // namespace tiercast::node
