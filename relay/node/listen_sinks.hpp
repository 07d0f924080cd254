// Where a listener's frames go: Ogg Opus, samples, RTP, a log of every tick. Each is told every tick in order.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "relay/net/udp_socket.hpp"
#include "relay/node/output_file.hpp"
#include "relay/receive/ogg_opus.hpp"
#include "relay/receive/rtp_writer.hpp"

namespace tiercast::node {

class ListenSink {
 public:
  virtual ~ListenSink() = default;
  /// Once, before the first tick.
  virtual void begin(std::chrono::milliseconds frame, WallTime now) = 0;
  virtual void on_played(const receive::Played& played, Moment now) = 0;
  /// Every turn of the loop: for what a slow reader has not taken yet, and one that went away.
  virtual void on_turn() {}
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
/// One line a tick: sequence, kind, bytes of Opus, BLAKE2b-128 of them in hex, milliseconds since its arrival.
std::unique_ptr<ListenSink> make_log_sink(OutputFile file);
/// `sdp`: where to write the session's description; nullopt: nowhere.
std::unique_ptr<ListenSink> make_rtp_sink(net::UdpSocket socket, const Endpoint& to, GroupId group, Random& random,
                                          std::optional<OutputFile> sdp);

}  // namespace tiercast::node
