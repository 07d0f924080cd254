// What each subcommand was asked to do, as plain structs: already checked, nothing of the command line left in them.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "config/config.hpp"
#include "crypto/keys.hpp"
#include "relay/base/endpoint.hpp"

namespace tiercast::cli {

inline constexpr const char* kDefaultSocket = config::kDefaultAdminSocket;

struct RunOptions {
  std::string config;  // file
};

struct CheckOptions {
  std::string config;              // file
  bool print_socket_unit = false;  // instead of checking keys: the drop-in for its systemd socket unit
};

/// Which of the two kinds of private key: a node's (X25519) or a source's (Ed25519 seed). Both look alike.
enum class KeyKind { node, source };

struct KeygenOptions {
  KeyKind kind = KeyKind::node;
  std::string output;  // file to create; empty: the private key goes to stdout
};

struct PubkeyOptions {
  KeyKind kind = KeyKind::node;
  std::string file;  // empty: stdin
};

struct EdgesSignOptions {
  config::KeyRef key;  // the operator's
  std::string list;    // file: what parse_edges() reads
};

struct EdgesCheckOptions {
  crypto::PublicKey operator_key{};
  std::string file;  // signed
};

struct ListenOptions {
  /// 1..16, those to be preferred first, as on a relay.
  std::vector<config::Upstream> parents;
  std::size_t live = 2;              // so many at once, 1..8; the others stand by
  std::string edges;                 // file: the operator's list of edges; empty: none
  crypto::PublicKey operator_key{};  // with edges
  GroupId group;
  std::vector<config::SourceKey> source_keys;  // 1..2, distinct ids
  bool strict = false;                         // play only what is attested
  std::vector<std::string> outputs;            // files: *.opus, *.wav (decoded); "-": Ogg Opus to stdout
  std::string pcm;                             // decoded samples, s16le: file, "-": stdout, empty: none
  int channels = 2;                            // of what is decoded: 1 or 2
  std::optional<HostPort> rtp;                 // send RTP there (name or number)
  std::string sdp;                             // write the session's description there; only with rtp
  std::optional<Duration> seconds;             // stop after so long; absent: at the broadcast's end or a signal
  std::optional<Duration> playout;             // playout delay; absent: the protocol's default
  std::optional<Duration> latency;             // of live outputs, fixed; absent: what the network asks for
  std::string report;                          // JSON statistics at the end: file, "-": stdout, empty: none
  std::string frame_log;                       // one line per played frame: file, "-": stdout, empty: none
  bool quiet = false;
};

struct StatusOptions {
  std::string socket = kDefaultSocket;
  bool json = false;
  std::optional<Duration> watch;  // again and again, so far apart; absent: once
};

/// `group` is a group's name or its id in digits (a group's name is never digits alone).
struct EndOptions {
  std::string group;
  std::string socket = kDefaultSocket;
};

struct RotateOptions {
  std::string group;
  std::string socket = kDefaultSocket;
};

/// A range of addresses to spread destinations over.
struct AddressRange {
  Endpoint first;       // the address with its host bits cleared; port 0
  unsigned prefix = 0;  // bits, of the address's own family: 0..32 or 0..128
};

struct ReloadOptions {
  std::string socket = kDefaultSocket;
};

struct DrainOptions {
  std::string socket = kDefaultSocket;
  std::optional<std::uint32_t> timeout;  // s, 0..3600; absent: the node's node.drain
};

struct BenchFanoutOptions {
  std::uint32_t destinations = 10000;
  std::uint32_t frames = 100;
  std::uint32_t payload = 180;                                // bytes of a datagram, 1..1232
  std::vector<std::string> backends = {"floor", "sendmmsg"};  // of sendto, floor, sendmmsg; run interleaved
  std::optional<AddressRange> to;                             // absent: loopback
  std::string interface;                                      // empty: the route's
  std::uint32_t rounds = 5;                                   // of each backend; the median counts
  std::uint32_t threads = 1;                                  // more: against one, of sendmmsg alone
  bool json = false;
};

struct LoadOptions {
  HostPort edge;
  crypto::PublicKey key{};  // the edge's
  GroupId group;
  std::vector<config::SourceKey> source_keys;  // 0..2, distinct ids; none: nothing is authenticated
  std::uint32_t listeners = 100;
  std::optional<AddressRange> from;  // absent: of loopback, for an edge there
  std::uint32_t ramp = 1000;         // joins a second
  std::uint32_t churn = 0;           // leases a second
  Duration seconds = std::chrono::seconds{60};
  std::uint32_t sample = 100;
  std::string count_on;  // interface; empty: none
  bool json = false;
};

struct BenchSealOptions {
  std::uint32_t payload = 60;    // bytes of an Opus packet, 0..1080
  std::uint32_t frames = 10000;  // per round, of each part
  std::uint32_t rounds = 5;
  bool json = false;
};

struct BenchJoinOptions {
  std::uint32_t joins = 4000;  // per round
  std::uint32_t rounds = 5;
  std::uint32_t in_flight = 64;  // joiners at once
  bool json = false;
};

struct BenchRefuseOptions {
  std::uint32_t datagrams = 500'000;  // per round, of each kind to each receiver
  std::uint32_t rounds = 5;
  bool json = false;
};

using Options =
    std::variant<RunOptions, CheckOptions, KeygenOptions, PubkeyOptions, EdgesSignOptions, EdgesCheckOptions,
                 ListenOptions, StatusOptions, EndOptions, RotateOptions, ReloadOptions, DrainOptions,
                 BenchFanoutOptions, BenchSealOptions, BenchJoinOptions, BenchRefuseOptions, LoadOptions>;

}  // namespace tiercast::cli
