// tiercast listen: a native listener.
#include <signal.h>
#include <unistd.h>

#include "crypto/random.hpp"
#include "relay/base/exit_code.hpp"
#include "relay/cli/commands.hpp"
#include "relay/cli/endings.hpp"
#include "relay/net/resolve.hpp"
#include "relay/node/listen_session.hpp"
#include "relay/store/edge_list_file.hpp"

namespace tiercast::cli {
namespace {

using Sinks = std::vector<std::unique_ptr<node::ListenSink>>;

/// A file for audio. A terminal would show it as garbage.
tl::expected<node::OutputFile, net::Error> create_audio(const std::string& path) {
  auto file = node::OutputFile::create(path);
  if (file && file->terminal())
    return tl::unexpected{net::Error{file->status().name + " is a terminal; pipe it into a player, as in " +
                                         "`… -o - | ffplay -acodec libopus -`, or name a file",
                                     ExitCode::usage}};
  return file;
}

/// Who plays later than usual can wait longer for what is missing.
Duration playout_of(const ListenOptions& options) {
  if (options.playout) return *options.playout;
  const Duration usual = options.strict ? wire::kStrictPlayout : wire::kPlayout;
  return std::max(usual, options.latency.value_or(usual));
}

tl::expected<Sinks, net::Error> make_sinks(const ListenOptions& options, Random& random) {
  Sinks sinks;
  const node::LiveDelay delay{playout_of(options), options.latency};
  for (const std::string& path : options.outputs) {
    auto file = create_audio(path);
    if (!file) return tl::unexpected{file.error()};
    if (path.ends_with(".wav")) {
      sinks.push_back(node::make_sample_sink(std::move(*file), node::SampleFormat::wav, options.channels));
    } else {
      sinks.push_back(node::make_ogg_sink(std::move(*file), options.group, static_cast<std::uint32_t>(random.u64())));
    }
  }
  if (!options.pcm.empty()) {
    auto file = create_audio(options.pcm);
    if (!file) return tl::unexpected{file.error()};
    sinks.push_back(file->live() ? node::make_live_sample_sink(std::move(*file), options.channels, delay)
                                 : node::make_sample_sink(std::move(*file), node::SampleFormat::raw, options.channels));
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
    sinks.push_back(
        node::make_rtp_sink(std::move(*socket), addresses->front(), options.group, random, std::move(sdp), delay));
  }
  return sinks;
}

}  // namespace

int run(const ListenOptions& options) {
  ::signal(SIGPIPE, SIG_IGN);
  crypto::SystemRandom random;
  auto sinks = make_sinks(options, random);
  if (!sinks) return complain(sinks.error());
  auto loop = net::Loop::create();
  if (!loop) return complain(loop.error());
  node::ListenSession::Setup setup;
  setup.listener.group = options.group;
  setup.listener.strict = options.strict;
  setup.listener.playout = playout_of(options);
  setup.listener.random = &random;
  for (const auto& source : options.source_keys) setup.listener.sources.push_back({source.id, source.key});
  setup.listener.live_parents = options.live;
  setup.edges = options.parents;
  if (!options.edges.empty()) {
    auto list = store::read_edge_list(options.edges, options.operator_key);
    if (!list) return complain(list.error());
    setup.list = std::move(*list);
  }
  setup.sinks = std::move(*sinks);
  setup.seconds = options.seconds;
  setup.quiet = options.quiet;
  setup.live_line = !options.quiet && ::isatty(STDERR_FILENO) == 1;
  std::optional<node::OutputFile> report;
  if (!options.report.empty()) {
    auto file = node::OutputFile::create(options.report);
    if (!file) return complain(file.error());
    report.emplace(std::move(*file));
  }
  node::ListenSession session{*loop, std::move(setup)};
  const int status = session.run();
  if (!report) return status;
  report->write(session.report());
  report->finish(node::kLastPatience);
  if (report->status().state != node::OutputStatus::State::failed) return status;
  const int failed = complain({"cannot write to " + report->status().name + ": " + report->status().why, ExitCode::io});
  return status == ExitCode::ok ? failed : status;
}

}  // namespace tiercast::cli
