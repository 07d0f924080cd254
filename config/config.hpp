// A node's configuration as plain structs, and the one function that makes them from TOML. Every check lives here;
// behind it the values are trusted. Errors carry file, line and column and say what would be right.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/edge_list.hpp"
#include "crypto/keys.hpp"
#include "relay/base/endpoint.hpp"
#include "relay/forward/parity_shape.hpp"
#include "relay/publish/encoding.hpp"
#include "relay/publish/pcm_format.hpp"

namespace tiercast::config {

/// Where a private key is: a file (mode 0600 demanded), or "credential:NAME", read from $CREDENTIALS_DIRECTORY.
struct KeyRef {
  std::string path;          // of the file, also for a credential (resolved)
  bool credential = false;   // then the file's mode is systemd's affair
  bool unavailable = false;  // a credential where only its unit has it; path is then what the file calls it
  bool operator==(const KeyRef&) const = default;
};

struct Node {
  std::string name;
  KeyRef key;
  std::string state;                          // directory; empty unless set. Demanded of origins
  int parents = 2;                            // live at once, 1..8
  Duration drain = std::chrono::seconds{10};  // when stopped, those below get so long to go elsewhere; 0: none
  std::optional<unsigned> cpu{};              // of the thread that takes frames in; absent: the scheduler's choice
};

inline constexpr std::size_t kMaxAddresses = 8;

enum class Backend { automatic, sendmmsg, xdp };
/// The file's word for it.
constexpr const char* to_text(Backend backend) {
  switch (backend) {
    case Backend::automatic: return "auto";
    case Backend::sendmmsg: return "sendmmsg";
    case Backend::xdp: break;
  }
  return "xdp";
}

/// Frames go out here as well, once for all who take them.
struct MulticastOut {
  Endpoint group;         // of either family, with its port
  std::string interface;  // to leave by; not looked for here
  std::uint8_t ttl = 1;   // or hop limit: 1 stays on the link; 1..255
  bool operator==(const MulticastOut&) const = default;
};

/// Frames of a parent may come here, from one sender alone.
struct MulticastIn {
  Endpoint group;                    // of either family, with its port
  std::string interface;             // to join on; not looked for here
  std::optional<Endpoint> source{};  // who sends, port 0; absent: whatever address the parent has
  bool operator==(const MulticastIn&) const = default;
};

struct Listen {
  std::vector<Endpoint> addresses;  // 1..kMaxAddresses, none of which takes what another does
  unsigned workers = 1;             // 1..number of CPUs
  Backend backend = Backend::automatic;
  std::uint32_t max_leases = 50000;
  unsigned spread = 0;  // percent of a frame's length over which it is sent to listeners; 0..90
  std::optional<MulticastOut> multicast;
  std::vector<unsigned> cpus{};  // one a worker; empty: the scheduler's choice
  unsigned busy_poll = 0;        // µs that a worker asks its network devices before it sleeps; 0: off
};

struct Upstream {
  HostPort address;  // name or number
  crypto::PublicKey public_key{};
  std::optional<MulticastIn> multicast{};  // its group is of the family of its source, where that is known
};

struct Downstream {
  std::string name;
  crypto::PublicKey public_key{};
};

enum class Admission { open, ticket };
enum class KeyMode { relay, ticket };

struct SourceKey {
  SourceId id;
  crypto::PublicKey key{};
  bool operator==(const SourceKey&) const = default;
};

enum class InputKind { rtp, wav, pcm, ogg };

inline constexpr const char* kStandardInput = "-";

/// Where the group's other source comes from: its origin.
struct Align {
  HostPort address;  // name or number
  crypto::PublicKey public_key{};
  bool operator==(const Align&) const = default;
};

/// An origin's input: exactly one of rtp, wav, pcm, ogg.
struct SourceInput {
  SourceId id;
  KeyRef signing_key;
  InputKind kind = InputKind::rtp;
  Endpoint rtp;                // address to receive RTP on
  std::string file;            // of the others; or kStandardInput, for one source of a node
  publish::PcmFormat pcm;      // of pcm
  publish::Encoding encoding;  // of wav and pcm
  std::optional<Align> align;  // of rtp, in a group of two sources
  bool reads_standard_input() const { return kind != InputKind::rtp && file == kStandardInput; }
  bool operator==(const SourceInput&) const = default;
};

struct Record {
  std::string directory;
  Duration silence = std::chrono::minutes{10};  // without audio, then the file is finished; 0: however long
  std::vector<std::string> finished{};          // a command and its arguments, run with each finished file
  bool operator==(const Record&) const = default;
};

struct Group {
  std::string name;
  GroupId id;
  std::vector<SourceKey> sources;
  Admission admission = Admission::open;
  KeyMode keys = KeyMode::relay;
  std::uint8_t frame_ms = 20;
  bool pinned = false;                      // subscribe at once, not with the first downstream
  forward::ParityShape parity;              // that listeners here get; off: none
  Duration rotate = std::chrono::hours{1};  // an origin's epoch rotation; 0: only on command
  std::optional<SourceInput> source;
  std::optional<Record> record;
};

enum class LogLevel { debug, info, warning, error };
/// The file's word for it.
constexpr const char* to_text(LogLevel level) {
  switch (level) {
    case LogLevel::debug: return "debug";
    case LogLevel::info: return "info";
    case LogLevel::warning: return "warning";
    case LogLevel::error: break;
  }
  return "error";
}

inline constexpr const char* kDefaultAdminSocket = "/run/tiercast/admin.sock";

struct Admin {
  std::string socket;  // empty: none. [admin] without a socket has kDefaultAdminSocket
};

/// The operator's list of edges, and those of them that whoever is sent away from here is told of.
struct Edges {
  std::string file;
  crypto::PublicKey operator_key{};
  std::vector<HostPort> elsewhere{};  // entries of the list; none: all of it
  EdgeList list{};                    // what is in the file: of whoever reads that
  bool operator==(const Edges&) const = default;
};

struct Config {
  Node node;
  std::optional<Listen> listen;  // absent: serves nobody (a recorder)
  std::vector<Upstream> upstreams;
  std::vector<Downstream> downstreams;
  std::vector<Group> groups;
  Admin admin;
  LogLevel log_level = LogLevel::info;
  std::optional<Edges> edges;
  bool is_origin() const;
};

/// Null: there is none.
const Group* find_group(const Config& config, GroupId id);

/// The edges that a node of that key tells of, which is none of them itself, by their numbers.
std::vector<std::uint16_t> told_of(const Edges& edges, const crypto::PublicKey& own);

/// One problem: "edge.toml:14:11: listen.workers = 99: this machine has 2 CPUs; use 1 to 2".
struct Problem {
  std::string text;
};

struct Loaded {
  std::optional<Config> config;   // absent: problems says why
  std::vector<Problem> problems;  // all that were found, in the file's order
};

/// What the machine is, where a check depends on it.
struct Machine {
  unsigned cpus = 1;
  std::string credentials_directory;  // empty: none
  bool outside_its_unit = false;      // only looked at: credentials stay "credential:NAME"
  std::vector<unsigned> usable{};     // the numbers of those CPUs, rising; empty: 0 to cpus - 1
};

/// Parses and checks `text`; `file` is only for messages. Touches no file: neither keys nor directories are opened.
Loaded parse(const std::string& text, const std::string& file, const Machine& machine);

}  // namespace tiercast::config
