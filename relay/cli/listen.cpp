// tiercast listen: a native listener.
#include <signal.h>
#include <unistd.h>

#include "crypto/random.hpp"
#include "relay/base/exit_code.hpp"
#include "relay/cli/commands.hpp"
#include "relay/net/resolve.hpp"
#include "relay/node/listen_session.hpp"

namespace tiercast::cli {
namespace {

int fail(const net::Error& error) {
  std::fprintf(stderr, "tiercast: %s\n", error.text.c_str());
  return error.exit_code;
}

tl::expected<std::vector<std::unique_ptr<node::ListenSink>>, net::Error> make_sinks(const ListenOptions& options, Random& random) {
  std::vector<std::unique_ptr<node::ListenSink>> sinks;
  if (!options.output.empty()) {
    auto file = node::OutputFile::create(options.output);
    if (!file) return tl::unexpected{file.error()};
    sinks.push_back(node::make_ogg_sink(std::move(*file), options.group, static_cast<std::uint32_t>(random.u64())));
  }
  if (!options.frame_log.empty()) {
    auto file = node::OutputFile::create(options.frame_log);
    if (!file) return tl::unexpected{file.error()};
    sinks.push_back(node::make_log_sink(std::move(*file)));
  }
  if (options.rtp) {
    auto addresses = net::resolve(*options.rtp);
    if (!addresses) return tl::unexpected{addresses.error()};
    net::SocketOptions socket_options;
    socket_options.packet_info = false;
    auto socket = net::UdpSocket::connect(addresses->front(), socket_options);
    if (!socket) return tl::unexpected{socket.error()};
    std::optional<node::OutputFile> sdp;
    if (!options.sdp.empty()) {
      auto file = node::OutputFile::create(options.sdp);
      if (!file) return tl::unexpected{file.error()};
      sdp.emplace(std::move(*file));
    }
    sinks.push_back(node::make_rtp_sink(std::move(*socket), addresses->front(), options.group, random, std::move(sdp)));
  }
  return sinks;
}

}  // namespace

int run(const ListenOptions& options) {
  ::signal(SIGPIPE, SIG_IGN);
  crypto::SystemRandom random;
  auto loop = net::Loop::create();
  if (!loop) return fail(loop.error());
  auto sinks = make_sinks(options, random);
  if (!sinks) return fail(sinks.error());
  node::ListenSession::Setup setup;
  setup.listener.group = options.group;
  setup.listener.strict = options.strict;
  setup.listener.playout = options.playout;
  setup.listener.random = &random;
  for (const auto& source : options.source_keys) setup.listener.sources.push_back({source.id, source.key});
  for (const auto& parent : options.parents) {
    setup.listener.parents.push_back(parent.public_key);
    setup.addresses.push_back(parent.address);
  }
  setup.sinks = std::move(*sinks);
  setup.seconds = options.seconds;
  setup.quiet = options.quiet;
  setup.live_line = !options.quiet && ::isatty(STDERR_FILENO) == 1;
  std::optional<node::OutputFile> report;
  if (!options.report.empty()) {
    auto file = node::OutputFile::create(options.report);
    if (!file) return fail(file.error());
    report.emplace(std::move(*file));
  }
  node::ListenSession session{*loop, std::move(setup)};
  const int status = session.run();
  if (report) {
    report->write(session.report());
    report->flush();
  }
  return status;
}

}  // namespace tiercast::cli
