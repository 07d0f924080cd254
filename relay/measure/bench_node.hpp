// A whole node on loopback, in a process of its own, as `tiercast run` would run it: an origin, so that what it answers
// has a group's epochs, whose broadcast has ended, so that nothing streams. What is measured is at its public port.
#pragma once

#include <optional>

#include "crypto/keys.hpp"
#include "relay/base/endpoint.hpp"
#include "relay/measure/child_process.hpp"

namespace tiercast::measure {

class BenchNode {
 public:
  static constexpr GroupId kGroup{1};
  /// With one worker. Waits until it answers.
  static tl::expected<BenchNode, net::Error> start(std::uint32_t max_leases);
  BenchNode(BenchNode&&) noexcept = default;
  BenchNode& operator=(BenchNode&&) = delete;
  ~BenchNode() = default;

  const Endpoint& address() const { return address_; }
  const crypto::PublicKey& key() const { return key_; }
  tl::expected<CpuTime, net::Error> cpu_time() const { return process_.cpu_time(); }
  /// Of those in its status, by name.
  tl::expected<std::uint64_t, net::Error> counter(const char* name) const;

 private:
  /// Removed with all in it.
  class Folder {
   public:
    explicit Folder(std::string path) : path_(std::move(path)) {}
    Folder(Folder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
    Folder& operator=(Folder&&) = delete;
    ~Folder();
    const std::string& path() const { return path_; }

   private:
    std::string path_;
  };
  BenchNode(Folder folder, ChildProcess process, const crypto::PublicKey& key)
      : folder_(std::move(folder)), process_(std::move(process)), key_(key) {}
  std::string socket() const { return folder_.path() + "/admin.sock"; }
  tl::expected<void, net::Error> wait();

  Folder folder_;
  ChildProcess process_;  // goes first
  crypto::PublicKey key_;
  Endpoint address_;
};

}  // namespace tiercast::measure
