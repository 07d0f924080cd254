// The only translation unit that knows CLI11. It names the subcommands and their options; what a word means is
// arguments.cpp's affair.
#include "relay/cli/command_line.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <utility>

#include "config/document.hpp"
#include "config/toml_reader.hpp"
#include "relay/base/exit_code.hpp"
#include "relay/cli/arguments.hpp"
#include "relay/measure/join_bench.hpp"
#include "relay/wire/limits.hpp"

namespace tiercast::cli {
namespace {

/// A word that cannot be used; carries the message past CLI11.
class Refused : public std::runtime_error {
 public:
  explicit Refused(const std::string& text) : std::runtime_error(text) {}
};

/// The value, or Refused with the option's name before the reason.
template <class T>
T demand(const std::string& option, Argument<T> parsed) {
  if (!parsed) throw Refused(option + " " + parsed.error());
  return std::move(*parsed);
}

/// One subcommand: its CLI11 half and how its words become options once CLI11 is through.
struct Subcommand {
  CLI::App* app;
  std::function<Options()> finish;
};

CLI::Option* add_socket(CLI::App* app, std::string& socket) {
  return app->add_option("--socket", socket, "admin socket of the node")->type_name("PATH")->capture_default_str();
}

Subcommand add_run(CLI::App& root) {
  CLI::App* app = root.add_subcommand("run", "run a node");
  auto options = std::make_shared<RunOptions>();
  app->add_option("-c,--config", options->config, "the node's configuration")->required()->type_name("FILE");
  return {app, [options] { return *options; }};
}

Subcommand add_check(CLI::App& root) {
  CLI::App* app = root.add_subcommand("check", "say what is wrong with a configuration and its key files");
  auto options = std::make_shared<CheckOptions>();
  app->add_option("-c,--config", options->config, "the node's configuration")->required()->type_name("FILE");
  app->add_flag("--print-socket-unit", options->print_socket_unit,
                "print the drop-in that makes tiercast@NAME.socket fit this configuration");
  return {app, [options] { return *options; }};
}

Subcommand add_keygen(CLI::App& root) {
  CLI::App* app = root.add_subcommand("keygen", "make a private key");
  auto options = std::make_shared<KeygenOptions>();
  auto source = std::make_shared<bool>(false);
  app->add_flag("--source", *source, "a source's signing key (Ed25519), not a node's (X25519)");
  app->add_option("-o,--output", options->output, "create this file, mode 0600, and print the public key")
      ->type_name("FILE");
  return {app, [=] {
            options->kind = *source ? KeyKind::source : KeyKind::node;
            return *options;
          }};
}

Subcommand add_pubkey(CLI::App& root) {
  CLI::App* app = root.add_subcommand("pubkey", "print the public key of a private one");
  auto options = std::make_shared<PubkeyOptions>();
  auto source = std::make_shared<bool>(false);
  app->add_flag("--source", *source, "the key is a source's signing key, not a node's");
  app->add_option("FILE", options->file, "private key; standard input unless given")->type_name("");
  return {app, [=] {
            options->kind = *source ? KeyKind::source : KeyKind::node;
            return *options;
          }};
}

Subcommand add_edges_sign(CLI::App& edges) {
  CLI::App* app = edges.add_subcommand("sign", "print a list of edges, signed by their operator");
  auto options = std::make_shared<EdgesSignOptions>();
  app->add_option("--key", options->key.path, "the operator's private key")->required()->type_name("FILE");
  app->add_option("LIST", options->list, "file of HOST:PORT KEY lines; - is the place of an edge that is no more")
      ->required()
      ->type_name("");
  app->footer(
      "Its key: tiercast keygen --source -o FILE. Add edges at the end and leave the others their lines: they are "
      "known "
      "by their number.");
  return {app, [options] { return *options; }};
}

Subcommand add_edges_check(CLI::App& edges) {
  CLI::App* app = edges.add_subcommand("check", "say whether a signed list is the operator's, and what is in it");
  auto options = std::make_shared<EdgesCheckOptions>();
  auto key = std::make_shared<std::string>();
  app->add_option("--operator", *key, "the operator's public key")->required()->type_name("KEY");
  app->add_option("FILE", options->file, "signed list")->required()->type_name("");
  return {app, [=] {
            options->operator_key = demand("--operator", parse_public_key(*key, "tiercast pubkey --source"));
            return *options;
          }};
}

struct ListenWords {
  std::vector<std::string> parents, source_keys, outputs;
  std::string live, key, multicast, edges, operator_key, group, pcm, channels, rtp, sdp, seconds, playout, latency,
      report, frame_log;
  bool strict = false, quiet = false;
};

void check_outputs(const std::vector<std::string>& outputs) {
  constexpr std::size_t kMostOutputs = 8;
  if (outputs.size() > kMostOutputs) throw Refused("--output: given more than 8 times");
  for (auto at = outputs.begin(); at != outputs.end(); ++at) {
    if (*at != "-" && !at->ends_with(".opus") && !at->ends_with(".wav"))
      throw Refused("--output: use a file that ends in .opus or .wav, or - for standard output");
    if (std::find(outputs.begin(), at, *at) != at)
      throw Refused("--output: " + config::printable(*at) + " given twice");
  }
}

constexpr std::uint64_t kMostGroup = (1 << 24) - 1;

std::vector<config::SourceKey> demand_source_keys(const std::vector<std::string>& words) {
  std::vector<config::SourceKey> out;
  if (words.size() > 2) throw Refused("--source-key: given more than twice; a group has one or two sources");
  for (const std::string& word : words) {
    const config::SourceKey source = demand("--source-key", parse_source_key(word));
    if (!out.empty() && out.front().id == source.id)
      throw Refused("--source-key: id " + std::to_string(source.id.value) + " given twice; give each its own");
    out.push_back(source);
  }
  return out;
}

ListenOptions finish_listen(const ListenWords& words) {
  constexpr std::size_t kMostParents = 16, kMostLive = 8;
  constexpr std::uint64_t kLeastPlayout = 20, kMostPlayout = 8000;  // a history holds ten seconds
  ListenOptions out;
  ParentDefaults defaults;
  if (!words.key.empty()) defaults.key = demand("--key", parse_public_key(words.key, "tiercast pubkey"));
  if (!words.multicast.empty()) defaults.multicast = demand("--multicast", parse_multicast(words.multicast));
  if (words.parents.size() > kMostParents) throw Refused("ADDR: more than 16 parents; a few are enough");
  for (const std::string& word : words.parents) out.parents.push_back(demand("ADDR", parse_parent(word, defaults)));
  if (!words.live.empty()) out.live = demand("--parents", parse_number(words.live, 1, kMostLive));
  if (words.edges.empty() != words.operator_key.empty())
    throw Refused("--edges FILE and --operator KEY: a list, and whose it is; give both or neither");
  out.edges = words.edges;
  if (!words.operator_key.empty())
    out.operator_key = demand("--operator", parse_public_key(words.operator_key, "tiercast pubkey --source"));
  out.group = GroupId{static_cast<std::uint32_t>(demand("--group", parse_number(words.group, 1, kMostGroup)))};
  out.source_keys = demand_source_keys(words.source_keys);
  out.strict = words.strict;
  out.quiet = words.quiet;
  check_outputs(words.outputs);
  out.outputs = words.outputs;
  out.pcm = words.pcm;
  const bool wav =
      std::any_of(out.outputs.begin(), out.outputs.end(), [](const auto& o) { return o.ends_with(".wav"); });
  if (!words.channels.empty()) {
    if (!wav && out.pcm.empty())
      throw Refused("--channels: of what is decoded; give --output FILE.wav or --pcm FILE too");
    out.channels = static_cast<int>(demand("--channels", parse_number(words.channels, 1, 2)));
  }
  if (!words.rtp.empty()) out.rtp = demand("--rtp", parse_address(words.rtp));
  out.sdp = words.sdp;
  if (!out.sdp.empty() && !out.rtp) throw Refused("--sdp: describes what --rtp HOST:PORT sends; give that too");
  if (!words.seconds.empty()) out.seconds = demand("--seconds", parse_seconds(words.seconds));
  if (!words.playout.empty()) {
    const std::uint64_t playout = demand("--playout", parse_number(words.playout, kLeastPlayout, kMostPlayout));
    out.playout = std::chrono::milliseconds{playout};
  }
  if (!words.latency.empty()) {
    if (out.pcm.empty() && !out.rtp)
      throw Refused("--latency: of what is played live; give --pcm - or --rtp HOST:PORT too");
    const std::uint64_t latency = demand("--latency", parse_number(words.latency, kLeastPlayout, kMostPlayout));
    out.latency = std::chrono::milliseconds{latency};
  }
  out.report = words.report;
  out.frame_log = words.frame_log;
  const auto to_stdout = std::count(out.outputs.begin(), out.outputs.end(), "-");
  if (to_stdout + (out.pcm == "-") + (out.report == "-") + (out.frame_log == "-") + (out.sdp == "-") > 1) {
    throw Refused("only one of --output, --pcm, --report, --frame-log and --sdp can be -, standard output");
  }
  return out;
}

constexpr const char* kListenExamples = R"(Examples, behind ADDR and keys:
  -o talk.opus -o talk.wav                 record, as it came and decoded
  -o - | ffplay -acodec libopus -          listen
  --pcm - | aplay -f S16_LE -r 48000 -c 2
  --pcm - --channels 1 | ffplay -f s16le -ar 48000 -ac 1 -
  --rtp 127.0.0.1:6004 --sdp talk.sdp      for ffplay -acodec libopus -protocol_whitelist file,udp,rtp talk.sdp
A player that is closed ends the listener, once no other output is left.)";

Subcommand add_listen(CLI::App& root) {
  CLI::App* app = root.add_subcommand("listen", "receive a group as a listener");
  auto words = std::make_shared<ListenWords>();
  app->add_option("ADDR", words->parents,
                  "edges to receive from, the first ones at once, others stand by:\n"
                  "HOST:PORT, HOST:PORT,KEY or HOST:PORT,KEY,GROUP:PORT@INTERFACE")
      ->required()
      ->type_name("");
  const auto add = [&](const char* name, std::string& to, const char* type, const char* description) {
    return app->add_option(name, to, description)->type_name(type);
  };
  add("--parents", words->live, "N", "receive from so many of the edges at once, 1 to 8; default 2");
  add("--key", words->key, "KEY", "public key of the edges given without one");
  add("--multicast", words->multicast, "GROUP:PORT@INTERFACE",
      "IP multicast of the edges given without one; unicast steps in\nwhile nothing comes by it");
  add("--edges", words->edges, "FILE", "list of other edges, signed by their operator, to go to when sent\naway");
  add("--operator", words->operator_key, "KEY", "the operator's public key");
  add("--group", words->group, "ID", "the group's id")->required();
  app->add_option("--source-key", words->source_keys, "a source's id and public key; may be given twice")
      ->required()
      ->allow_extra_args(false)
      ->type_name("ID:KEY");
  app->add_flag("--strict", words->strict, "play only what the source has attested");
  app->add_option("-o,--output", words->outputs,
                  "FILE.opus: as it comes; FILE.wav: decoded; -: live Ogg Opus to\n"
                  "standard output; may be given several times")
      ->allow_extra_args(false)
      ->type_name("FILE");
  add("--pcm", words->pcm, "FILE", "write decoded samples, 16 bit little-endian at 48 kHz, to FILE or -");
  add("--channels", words->channels, "N", "of what is decoded: 1 or 2; default 2");
  add("--rtp", words->rtp, "HOST:PORT", "send the frames there as RTP");
  add("--sdp", words->sdp, "FILE", "write the RTP session's description");
  add("--seconds", words->seconds, "N", "stop after N seconds");
  add("--playout", words->playout, "MS",
      "how long a missing frame is waited for, 20 to 8000; default 300, 800\nwith --strict");
  add("--latency", words->latency, "MS",
      "fixed delay of --pcm into a pipe and of --rtp, 20 to 8000; unless\ngiven, as short as the network allows");
  add("--report", words->report, "FILE", "write statistics as JSON at the end");
  add("--frame-log", words->frame_log, "FILE",
      "write a line per tick: sequence; frame, empty or lost; bytes; their\nBLAKE2b-128; ms it waited to be played; ms "
      "of "
      "CLOCK_MONOTONIC when\nit came");
  app->add_flag("--quiet", words->quiet, "log errors only");
  app->footer(kListenExamples);
  return {app, [words] { return finish_listen(*words); }};
}

Subcommand add_status(CLI::App& root) {
  CLI::App* app = root.add_subcommand("status", "show what a running node sees");
  auto options = std::make_shared<StatusOptions>();
  auto watch = std::make_shared<std::string>();
  add_socket(app, options->socket);
  app->add_flag("--json", options->json, "as JSON, with every counter; at once, without rates");
  CLI::Option* watched = app->add_option("--watch", *watch, "again every SECONDS, 1 unless given, until Ctrl-C")
                             ->expected(0, 1)
                             ->type_name("[SECONDS]");
  app->footer("Rates are of one second, which it takes, or of the time since it was shown last.");
  return {app, [=] {
            constexpr Duration kLeast = 100ms, kUsual = 1s;
            if (watched->count() > 0)
              options->watch = watch->empty() ? kUsual : demand("--watch", parse_seconds(*watch));
            if (options->watch && *options->watch < kLeast) throw Refused("--watch " + *watch + ": use 0.1 or more");
            return *options;
          }};
}

Subcommand add_reload(CLI::App& root) {
  CLI::App* app = root.add_subcommand("reload", "have a running node read its configuration again (as SIGHUP does)");
  auto options = std::make_shared<ReloadOptions>();
  add_socket(app, options->socket);
  app->footer("Exit status: 0 all is taken over, 75 some of it needs a restart, 78 the file was refused as a whole.");
  return {app, [options] { return *options; }};
}

Subcommand add_drain(CLI::App& root) {
  CLI::App* app = root.add_subcommand(
      "drain", "have a running node's listeners and relays go elsewhere, and then stop it (as SIGTERM does)");
  auto options = std::make_shared<DrainOptions>();
  auto timeout = std::make_shared<std::string>();
  app->add_option("--timeout", *timeout, "seconds after which it stops all the same; default: its node.drain")
      ->type_name("SECONDS");
  add_socket(app, options->socket);
  app->footer("Exit status: 0 nobody was left, 75 it stopped with some left.");
  return {app, [options, timeout] {
            if (!timeout->empty())
              options->timeout = static_cast<std::uint32_t>(demand("--timeout", parse_number(*timeout, 0, 3600)));
            return *options;
          }};
}

template <class GroupOptions>
Subcommand add_group_request(CLI::App& root, const char* name, const char* description) {
  CLI::App* app = root.add_subcommand(name, description);
  auto options = std::make_shared<GroupOptions>();
  app->add_option("GROUP", options->group, "the group's name or id")->required()->type_name("");
  add_socket(app, options->socket);
  return {app, [options] {
            if (options->group.empty()) throw Refused("GROUP: empty; give the group's name or id");
            return *options;
          }};
}

struct BenchWords {
  std::string destinations, frames, payload, backends, to, rounds, threads;
};

Subcommand add_bench_fanout(CLI::App& bench) {
  constexpr std::uint64_t kMostDestinations = 1'000'000, kMostFrames = 1'000'000, kMostRounds = 1000,
                          kMostThreads = 255;
  CLI::App* app = bench.add_subcommand("fanout", "the cost of one datagram to one destination");
  auto options = std::make_shared<BenchFanoutOptions>();
  auto words = std::make_shared<BenchWords>();
  const auto add = [&](const char* name, std::string& to, const char* type, const std::string& description) {
    app->add_option(name, to, description)->type_name(type);
  };
  add("--destinations", words->destinations, "N", "default " + std::to_string(options->destinations));
  add("--frames", words->frames, "F", "frames a round; default " + std::to_string(options->frames));
  add("--payload", words->payload, "BYTES", "of a datagram; default " + std::to_string(options->payload));
  add("--backend", words->backends, "LIST", "of sendto, floor, sendmmsg, xdp; default floor,sendmmsg");
  add("--to", words->to, "ADDR/PREFIX", "spread the destinations over these addresses; default loopback");
  add("--interface", options->interface, "IF", "send through this interface");
  add("--rounds", words->rounds, "R", "of each backend, interleaved; default " + std::to_string(options->rounds));
  add("--threads", words->threads, "T", "the relay's sendmmsg by so many threads against one: the rate of both");
  app->add_flag("--json", options->json, "one JSON object per backend");
  return {app, [=] {
            const auto number = [](const char* name, const std::string& word, std::uint32_t& to, std::uint64_t most) {
              if (!word.empty()) to = static_cast<std::uint32_t>(demand(name, parse_number(word, 1, most)));
            };
            number("--destinations", words->destinations, options->destinations, kMostDestinations);
            number("--frames", words->frames, options->frames, kMostFrames);
            number("--payload", words->payload, options->payload, wire::kMaxDatagram);
            number("--rounds", words->rounds, options->rounds, kMostRounds);
            number("--threads", words->threads, options->threads, kMostThreads);
            if (options->threads > 1 && !words->backends.empty())
              throw Refused("--threads: measures sendmmsg; leave --backend out");
            if (!words->backends.empty()) options->backends = demand("--backend", parse_backends(words->backends));
            if (!words->to.empty()) options->to = demand("--to", parse_address_range(words->to));
            return *options;
          }};
}

struct LoadWords {
  std::string edge, key, group, listeners, from, ramp, churn, seconds, sample, count_on;
  std::vector<std::string> source_keys;
  bool json = false;
};

LoadOptions finish_load(const LoadWords& words) {
  constexpr std::uint64_t kMostListeners = 1'000'000, kMostASecond = 100'000;
  LoadOptions out;
  out.edge = demand("ADDR", parse_address(words.edge));
  out.key = demand("--key", parse_public_key(words.key, "tiercast pubkey"));
  out.group = GroupId{static_cast<std::uint32_t>(demand("--group", parse_number(words.group, 1, kMostGroup)))};
  out.source_keys = demand_source_keys(words.source_keys);
  const auto number = [](const char* name, const std::string& word, std::uint32_t& to, std::uint64_t least,
                         std::uint64_t most) {
    if (!word.empty()) to = static_cast<std::uint32_t>(demand(name, parse_number(word, least, most)));
  };
  number("--listeners", words.listeners, out.listeners, 1, kMostListeners);
  number("--ramp", words.ramp, out.ramp, 1, kMostASecond);
  number("--churn", words.churn, out.churn, 0, kMostASecond);
  // Who leaves is back after a second and a handshake: with more, nobody would be there for long.
  if (out.churn > out.listeners / 4)
    throw Refused("--churn " + words.churn + ": more than a quarter of the listeners a second; use " +
                  std::to_string(out.listeners / 4) + " at most");
  if (out.churn > out.ramp) throw Refused("--churn " + words.churn + ": more than --ramp lets join again");
  out.sample = std::min(out.sample, out.listeners);
  number("--sample", words.sample, out.sample, 0, out.listeners);
  if (!words.from.empty()) out.from = demand("--from", parse_address_range(words.from));
  if (!words.seconds.empty()) out.seconds = demand("--seconds", parse_seconds(words.seconds));
  out.count_on = words.count_on;
  if (!out.count_on.empty() && out.sample == 0)
    throw Refused("--count-on: tells from a sample how far the stream is; use --sample 1 or more");
  out.json = words.json;
  return out;
}

constexpr const char* kLoadFooter =
    R"(Each listener has an address of its own, all behind one socket, and asks for nothing again: what is
lost is to be seen. Memory: about 1 KB a listener. Exit status: 0 every listener joined, and nothing was
lost since the last one had; 69 something was, as the last line says.)";

Subcommand add_load(CLI::App& root) {
  CLI::App* app = root.add_subcommand("load", "be many listeners of an edge, and count what each gets");
  auto words = std::make_shared<LoadWords>();
  const LoadOptions defaults;
  const auto add = [&](const char* name, std::string& to, const char* type, const std::string& description) {
    return app->add_option(name, to, description)->type_name(type);
  };
  add("ADDR", words->edge, "", "the edge: HOST:PORT")->required();
  add("--key", words->key, "KEY", "the edge's public key")->required();
  add("--group", words->group, "ID", "the group's id")->required();
  app->add_option("--source-key", words->source_keys,
                  "a source's id and public key, to authenticate the sample's\nframes; may be given twice")
      ->allow_extra_args(false)
      ->type_name("ID:KEY");
  add("--listeners", words->listeners, "N", "default " + std::to_string(defaults.listeners));
  add("--from", words->from, "ADDR/PREFIX",
      "their addresses, which must be this machine's: `ip route add local\nADDR/PREFIX dev lo` makes them so; default "
      "127.64.0.0/10 for an edge\non loopback");
  add("--ramp", words->ramp, "N", "joins a second; default " + std::to_string(defaults.ramp));
  add("--churn", words->churn, "N", "leases a second that leave and are replaced, once all are in; default 0");
  add("--seconds", words->seconds, "N", "hold them so long, once all are in; default 60");
  add("--sample", words->sample, "N",
      "listeners whose frames are opened and timed; default " + std::to_string(defaults.sample));
  add("--count-on", words->count_on, "INTERFACE",
      "count by eBPF where frames come in, below the network stack: for\nmore than sockets carry (CAP_NET_ADMIN, "
      "CAP_BPF)");
  app->add_flag("--json", words->json, "one JSON object");
  app->footer(kLoadFooter);
  return {app, [words] { return finish_load(*words); }};
}

/// A measure of a bench: a word that becomes a number within bounds, or leaves the default.
void add_measure(CLI::App* app, const char* name, const char* type, const std::string& description,
                 std::vector<std::function<void()>>& finish, std::uint32_t& to, std::uint64_t least,
                 std::uint64_t most) {
  auto word = std::make_shared<std::string>();
  app->add_option(name, *word, description + "; default " + std::to_string(to))->type_name(type);
  finish.push_back([=, &to] {
    if (!word->empty()) to = static_cast<std::uint32_t>(demand(name, parse_number(*word, least, most)));
  });
}

/// A bench whose measures are all numbers, `add` says which.
template <class BenchOptions, class Add>
Subcommand add_bench(CLI::App& bench, const char* name, const char* description, const char* json, Add&& add) {
  constexpr std::uint64_t kMostRounds = 1000;
  CLI::App* app = bench.add_subcommand(name, description);
  auto options = std::make_shared<BenchOptions>();
  auto finish = std::make_shared<std::vector<std::function<void()>>>();
  const auto measure = [&](const char* option, const char* type, const char* what, std::uint32_t& to,
                           std::uint64_t least,
                           std::uint64_t most) { add_measure(app, option, type, what, *finish, to, least, most); };
  add(*options, measure);
  measure("--rounds", "R", "the median counts", options->rounds, 1, kMostRounds);
  app->add_flag("--json", options->json, json);
  return {app, [=] {
            for (const auto& each : *finish) each();
            return *options;
          }};
}

Subcommand add_bench_seal(CLI::App& bench) {
  return add_bench<BenchSealOptions>(bench, "seal", "the cost of one frame at its origin", "one JSON object per part",
                                     [](BenchSealOptions& to, const auto& measure) {
                                       measure("--payload", "BYTES", "of an Opus packet", to.payload, 0,
                                               wire::kMaxOpus);
                                       measure("--frames", "F", "frames a round", to.frames, 1, 10'000'000);
                                     });
}

Subcommand add_bench_join(CLI::App& bench) {
  return add_bench<BenchJoinOptions>(bench, "join", "the cost of one join to the node that answers it",
                                     "one JSON object", [](BenchJoinOptions& to, const auto& measure) {
                                       measure("--joins", "N", "joins a round; 60000 in all rounds at most", to.joins,
                                               1, tiercast::measure::kMostJoins);
                                       measure("--in-flight", "N", "joiners at once", to.in_flight, 1, 1000);
                                     });
}

Subcommand add_bench_refuse(CLI::App& bench) {
  return add_bench<BenchRefuseOptions>(bench, "refuse", "the cost of one datagram of a flood at the public port",
                                       "one JSON object per receiver", [](BenchRefuseOptions& to, const auto& measure) {
                                         measure("--datagrams", "N", "sent a round, of each kind to each receiver",
                                                 to.datagrams, 1, 100'000'000);
                                       });
}

std::string full_name(const CLI::App& app) {
  std::string name = app.get_name();
  for (const CLI::App* parent = app.get_parent(); parent; parent = parent->get_parent()) {
    name.insert(0, parent->get_name() + " ");
  }
  return name;
}

/// The subcommand the words led to, or the root.
const CLI::App& deepest(const CLI::App& root) {
  const CLI::App* app = &root;
  while (!app->get_subcommands().empty()) app = app->get_subcommands().back();
  return *app;
}

/// Why `app` found none of its subcommands in the words.
std::string no_command(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  const std::vector<std::string> words = app.remaining();
  std::string out = words.empty() ? "no command" : "no such command: " + config::printable(words.front());
  if (const auto hint = words.empty() ? std::nullopt : config::nearest(words.front(), names)) {
    return out + "; did you mean " + *hint + "?";
  }
  return out + "; use " + config::join_alternatives(std::vector<std::string_view>{names.begin(), names.end()});
}

Stop refuse(const CLI::App& root, const std::string& text) {
  const std::string name = full_name(deepest(root));
  return {ExitCode::usage, name + ": " + text + "\nSee: " + name + " --help\n"};
}

}  // namespace

tl::expected<Options, Stop> parse_command_line(std::span<const char* const> arguments) {
  CLI::App root{"tiercast: one live talk, millions of listeners, on time", "tiercast"};
  root.set_version_flag("--version", "tiercast " TIERCAST_VERSION, "print the version");
  root.require_subcommand(1);
  std::vector<Subcommand> commands;
  commands.push_back(add_run(root));
  commands.push_back(add_check(root));
  commands.push_back(add_keygen(root));
  commands.push_back(add_pubkey(root));
  CLI::App* edges = root.add_subcommand("edges", "lists of edges that listeners may be sent to")->require_subcommand(1);
  commands.push_back(add_edges_sign(*edges));
  commands.push_back(add_edges_check(*edges));
  commands.push_back(add_listen(root));
  commands.push_back(add_status(root));
  commands.push_back(add_group_request<EndOptions>(root, "end", "end a group's broadcast"));
  commands.push_back(add_group_request<RotateOptions>(root, "rotate", "change a group's key now"));
  commands.push_back(add_reload(root));
  commands.push_back(add_drain(root));
  CLI::App* bench = root.add_subcommand("bench", "measure this machine")->require_subcommand(1);
  commands.push_back(add_bench_fanout(*bench));
  commands.push_back(add_bench_seal(*bench));
  commands.push_back(add_bench_join(*bench));
  commands.push_back(add_bench_refuse(*bench));
  commands.push_back(add_load(root));

  // CLI11 takes the words last one first.
  std::vector<std::string> words{arguments.begin(), arguments.end()};
  std::reverse(words.begin(), words.end());
  try {
    root.parse(words);
    const CLI::App* app = &deepest(root);
    const auto chosen =
        std::find_if(commands.begin(), commands.end(), [&](const Subcommand& command) { return command.app == app; });
    return chosen->finish();
  } catch (const CLI::Success& wanted) {  // help or version
    std::ostringstream out, err;
    root.exit(wanted, out, err);
    return tl::unexpected(Stop{ExitCode::ok, out.str()});
  } catch (const CLI::RequiredError& error) {
    const CLI::App& app = deepest(root);
    const bool lacks_command = app.get_require_subcommand_min() > 0;
    return tl::unexpected(refuse(root, lacks_command ? no_command(app) : error.what()));
  } catch (const CLI::ParseError& error) {
    return tl::unexpected(refuse(root, error.what()));
  } catch (const Refused& error) {
    return tl::unexpected(refuse(root, error.what()));
  }
}

}  // namespace tiercast::cli
