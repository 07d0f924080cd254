// A node's file read again, on a short-lived thread of its own, since reading files may take longer than a frame:
// compared with what runs, and all made ready that may fail, so that what is handed over can only succeed.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "config/changes.hpp"
#include "relay/net/loop.hpp"
#include "relay/net/udp_socket.hpp"
#include "relay/net/wake.hpp"
#include "relay/node/make_group.hpp"

namespace tiercast::node {

/// A file and the keys that it names, as they are now.
struct ConfigFiles {
  config::Config config;
  crypto::PrivateKey key;
  std::vector<std::optional<crypto::PrivateKey>> signing;  // one per Config::groups; present where it has a source
};
/// Or why it cannot be used: all reasons, a line each. Called on any thread.
using ReadConfig = std::function<tl::expected<ConfigFiles, std::vector<std::string>>()>;

/// What takes time or may fail, done.
struct PreparedGroup {
  GroupId id;
  std::unique_ptr<Group> shared;                // of an added one
  std::unique_ptr<Origin> origin;               // where its source is here
  std::optional<net::UdpSocket> rtp;            // then
  std::unique_ptr<store::Recording> recording;  // of an added one, or one that is recorded from now on
};
struct PreparedReload {
  std::vector<std::string> problems;  // not empty: refused as a whole, and nothing else is here
  config::Changes changes;
  std::vector<PreparedGroup> groups;
};

class Reloader {
 public:
  struct Setup {
    ReadConfig read;
    crypto::PublicKey own_key{};                // of the key that the node runs with
    const store::OriginState* state = nullptr;  // origins have one
    Random* random = nullptr;                   // of any thread
    RecordingSetup recordings{};
    net::Wake* bell = nullptr;  // rings when there is something to take
  };
  /// The pointers outlive it.
  explicit Reloader(Setup setup) : setup_(std::move(setup)) {}
  /// Waits for a reading that is under way.
  ~Reloader();

  bool busy() const { return thread_.joinable(); }
  /// Only while not busy. What runs, and the lists of edges that ever did, are copied.
  void start(const config::Config& running, const config::EdgeSerials& seen);
  std::optional<PreparedReload> take();
  /// What was made ready is not used after all.
  static void discard(PreparedReload& prepared);

 private:
  PreparedReload prepare(const config::Config& running, const config::EdgeSerials& seen) const;
  void prepare_groups(const ConfigFiles& files, PreparedReload& out) const;

  Setup setup_;
  std::mutex mutex_;  // of what follows
  std::optional<PreparedReload> done_;
  std::thread thread_;
};

}  // namespace tiercast::node
