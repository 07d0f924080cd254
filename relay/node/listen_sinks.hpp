// Where a listener's frames go: Ogg Opus, samples, RTP, a log of every tick. Each is told every tick in order; those
// that play have a jitter buffer, and are told early too.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "relay/net/udp_socket.hpp"
#include "relay/node/output_file.hpp"
#include "relay/receive/jitter_buffer.hpp"
#include "relay/receive/ogg_opus.hpp"
#include "relay/receive/rtp_writer.hpp"

namespace tiercast::node {

/// What a player behind a jitter buffer has to say.
struct PlayerFigures {
  Duration target, delay;
  std::optional<double> drift_ppm;  // of the sender's clock against ours
  std::uint64_t late = 0, concealed = 0;
};

inline PlayerFigures figures_of(const receive::JitterBuffer& buffer, Time now) {
  const receive::JitterBufferCounters& counters = buffer.counters();
  return {buffer.target(now), buffer.delay(), buffer.drift_ppm(), counters.late.get(), counters.concealed.get()};
}

class ListenSink {
 public:
  virtual ~ListenSink() = default;
  /// Once, before the first tick.
  virtual void begin(std::chrono::milliseconds frame, WallTime now) = 0;
  /// A tick that is here before its turn: Playout::each_ahead(). For those that play, who cannot wait for it.
  virtual void on_ahead(const receive::Played&, Moment) {}
  virtual void on_played(const receive::Played& played, Moment now) = 0;
  /// Every turn of the loop: for what is to be played now, what a slow reader has not taken yet, and one that went
  /// away.
  virtual void on_turn(Moment) {}
  /// When the next turn is needed.
  virtual Time next_deadline() const { return kNever; }
  /// Nothing of what was given to it is still to be played.
  virtual bool idle() const { return true; }
  virtual std::optional<PlayerFigures> player(Time) const { return std::nullopt; }
  /// May wait for a slow reader, kLastPatience at most.
  virtual void finish() = 0;
  virtual const OutputStatus& status() const = 0;
  /// Audio, for which a listener runs. When all such outputs have ended there is nothing left to do.
  virtual bool audio() const { return true; }
  using PutCounter = std::function<void(const char*, const Counter&)>;
  virtual void each_counter(const PutCounter&) const {}
};

/// How long a reader is waited for at the end, and how much may wait for it before: what came last.
inline constexpr Duration kLastPatience = 3s;
inline constexpr Duration kBacklog = 2s;

/// Whole pages of a second into a regular file; a page a tick, at once, to whoever reads along.
std::unique_ptr<ListenSink> make_ogg_sink(OutputFile file, GroupId group, std::uint32_t serial);
/// Decoded, 16 bit at 48 kHz, `channels` 1 or 2. WAV: with a header, whose sizes are put in at the end where the file
/// can be written to twice.
enum class SampleFormat : std::uint8_t { raw, wav };
std::unique_ptr<ListenSink> make_sample_sink(OutputFile file, SampleFormat format, int channels);
/// For outputs that are played as they come.
struct LiveDelay {
  Duration most = wire::kPlayout;
  std::optional<Duration> fixed;  // instead of what the network asks for
};
/// Raw samples at an even pace, to who plays them.
std::unique_ptr<ListenSink> make_live_sample_sink(OutputFile file, int channels, const LiveDelay& delay);
/// One line a tick: sequence, kind, bytes of Opus, BLAKE2b-128 of them in hex, milliseconds since its arrival.
std::unique_ptr<ListenSink> make_log_sink(OutputFile file);
/// At an even pace. `sdp`: where to write the session's description; nullopt: nowhere.
std::unique_ptr<ListenSink> make_rtp_sink(net::UdpSocket socket, const Endpoint& to, GroupId group, Random& random,
                                          std::optional<OutputFile> sdp, const LiveDelay& delay = {});

}  // namespace tiercast::node
