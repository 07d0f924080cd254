#include "relay/node/listen_sinks.hpp"

#include <cerrno>
#include <cstring>

#include "crypto/signature.hpp"
#include "relay/base/exit_code.hpp"
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
  OggSink(OutputFile file, GroupId group, std::uint32_t serial) : file_(std::move(file)), group_(group), serial_(serial) {}
  void begin(std::chrono::milliseconds frame, WallTime now) override {
    writer_.emplace(receive::OggOpusConfig{frame, serial_, "group " + std::to_string(group_.value), now});
  }
  void on_played(const receive::Played& played, Moment) override {
    writer_->add(played);
    flush();
  }
  void finish() override {
    if (!writer_) return;
    writer_->finish();
    flush();
    file_.flush();
  }
  std::string problem() const override { return file_.problem(); }

 private:
  void flush() {
    const Bytes bytes = writer_->take();
    if (!bytes.empty()) file_.write(bytes);
  }
  OutputFile file_;
  GroupId group_;
  std::uint32_t serial_;
  std::optional<receive::OggOpusWriter> writer_;
};

class LogSink final : public ListenSink {
 public:
  explicit LogSink(OutputFile file) : file_(std::move(file)) {}
  void begin(std::chrono::milliseconds, WallTime) override {}
  void on_played(const receive::Played& played, Moment now) override {
    std::array<char, 160> line{};
    int length = std::snprintf(line.data(), line.size(), "%llu %s %zu ",
                               static_cast<unsigned long long>(played.sequence.value), to_text(played.kind),
                               played.opus.size());
    for (const std::uint8_t b : crypto::attest_hash(played.opus))
      length += std::snprintf(line.data() + length, line.size() - static_cast<std::size_t>(length), "%02x", b);
    const double waited = std::chrono::duration<double, std::milli>(now.mono - played.arrived).count();
    length += std::snprintf(line.data() + length, line.size() - static_cast<std::size_t>(length), " %.3f\n", waited);
    file_.write(std::string{line.data(), static_cast<std::size_t>(length)});
  }
  void finish() override { file_.flush(); }
  std::string problem() const override { return file_.problem(); }

 private:
  OutputFile file_;
};

class RtpSink final : public ListenSink {
 public:
  RtpSink(net::UdpSocket socket, const Endpoint& to, GroupId group, Random& random, std::optional<OutputFile> sdp)
      : socket_(std::move(socket)), to_(to), group_(group), random_(random), sdp_(std::move(sdp)) {}
  void begin(std::chrono::milliseconds frame, WallTime now) override {
    writer_.emplace(frame, random_);
    if (!sdp_) return;
    receive::SdpConfig config;
    config.name = "tiercast group " + std::to_string(group_.value);
    config.destination = to_;
    config.session = static_cast<std::uint64_t>(now.time_since_epoch().count());
    config.frame = frame;
    sdp_->write(receive::make_sdp(config));
    sdp_->flush();
  }
  void on_played(const receive::Played& played, Moment) override {
    const Bytes packet = writer_->write(played);
    if (packet.empty()) return;
    // Nobody there yet (ECONNREFUSED) is a player that starts later.
    const int error = socket_.send(packet);
    if (error != 0 && error != ECONNREFUSED) problem_ = std::string{"RTP to "} + to_string(to_) + ": " + std::strerror(error);
  }
  void finish() override {}
  std::string problem() const override { return problem_; }

 private:
  net::UdpSocket socket_;
  Endpoint to_;
  GroupId group_;
  Random& random_;
  std::optional<OutputFile> sdp_;
  std::optional<receive::RtpWriter> writer_;
  std::string problem_;
};

}  // namespace

tl::expected<OutputFile, net::Error> OutputFile::create(const std::string& path) {
  std::FILE* file = path == "-" ? stdout : std::fopen(path.c_str(), "wbe");
  if (file == nullptr)
    return tl::unexpected{net::Error{"cannot write " + path + ": " + std::strerror(errno), ExitCode::cannot_create}};
  return OutputFile{path, file};
}

void OutputFile::write(Bytes bytes) {
  if (!problem_.empty()) return;
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) != bytes.size() || (file_.get() == stdout && std::fflush(stdout) != 0))
    problem_ = path_ + ": " + std::strerror(errno);
}

void OutputFile::flush() {
  if (problem_.empty() && std::fflush(file_.get()) != 0) problem_ = path_ + ": " + std::strerror(errno);
}

std::unique_ptr<ListenSink> make_ogg_sink(OutputFile file, GroupId group, std::uint32_t serial) {
  return std::make_unique<OggSink>(std::move(file), group, serial);
}
std::unique_ptr<ListenSink> make_log_sink(OutputFile file) { return std::make_unique<LogSink>(std::move(file)); }
std::unique_ptr<ListenSink> make_rtp_sink(net::UdpSocket socket, const Endpoint& to, GroupId group, Random& random,
                                          std::optional<OutputFile> sdp) {
  return std::make_unique<RtpSink>(std::move(socket), to, group, random, std::move(sdp));
}

}  // namespace tiercast::node
