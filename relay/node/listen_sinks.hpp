// Where a listener's frames go: an Ogg Opus file, RTP, a log of every tick. Each is told every tick in order.
#pragma once

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "relay/net/error.hpp"
#include "relay/net/udp_socket.hpp"
#include "relay/receive/ogg_opus.hpp"
#include "relay/receive/rtp_writer.hpp"

namespace tiercast::node {

class ListenSink {
 public:
  virtual ~ListenSink() = default;
  /// Once, before the first tick.
  virtual void begin(std::chrono::milliseconds frame, WallTime now) = 0;
  virtual void on_played(const receive::Played& played, Moment now) = 0;
  virtual void finish() = 0;
  /// What could not be written; empty: nothing.
  virtual std::string problem() const { return {}; }
};

/// A file that is closed at the end; "-" is stdout.
class OutputFile {
 public:
  static tl::expected<OutputFile, net::Error> create(const std::string& path);
  void write(Bytes bytes);
  void write(const std::string& text) { write(Bytes{reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}); }
  void flush();
  const std::string& problem() const { return problem_; }

 private:
  struct Close {
    void operator()(std::FILE* file) const {
      if (file != stdout) std::fclose(file);
    }
  };
  OutputFile(std::string path, std::FILE* file) : path_(std::move(path)), file_(file) {}
  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
  std::string problem_;
};

std::unique_ptr<ListenSink> make_ogg_sink(OutputFile file, GroupId group, std::uint32_t serial);
/// One line a tick: sequence, kind, bytes of Opus, BLAKE2b-128 of them in hex, milliseconds since its arrival.
std::unique_ptr<ListenSink> make_log_sink(OutputFile file);
/// `sdp`: where to write the session's description; nullopt: nowhere.
std::unique_ptr<ListenSink> make_rtp_sink(net::UdpSocket socket, const Endpoint& to, GroupId group, Random& random,
                                          std::optional<OutputFile> sdp);

}  // namespace tiercast::node
