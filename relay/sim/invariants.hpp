// What must hold at every step of every history, whatever the network and the processes do: of datagrams and of what is
// played. Each observer throws Violation at the first one that breaks it.
#pragma once

#include <unordered_map>

#include "relay/sim/world.hpp"

namespace tiercast::sim {

/// Of a group, source, epoch and sequence there is one sealed frame, the same bits wherever it is sent: nobody seals a
/// sequence twice under one key, nobody passes on what was altered.
class Sealing final : public Observer {
 public:
  void on_sent(const Endpoint& from, const Endpoint& to, Bytes datagram) override;

 private:
  struct Key {
    std::uint64_t group_and_epoch, source_and_sequence;
    bool operator==(const Key&) const = default;
  };
  struct Mix {
    std::size_t operator()(const Key& key) const {
      return (key.group_and_epoch * 0x9e3779b97f4a7c15) ^ (key.source_and_sequence * 0xd1342543de82ef95);
    }
  };
  std::unordered_map<Key, std::uint64_t, Mix> sealed_;  // a digest of each
};

/// Sequences rise by one but at a discontinuity; every packet is one that the encoder sent, bit by bit, none comes
/// twice or out of order; and a sequence is the same packet at all listeners. An origin may have no packet for a tick
/// for which the other one has one, but never another. Of what was sealed while the two were apart, or by one that
/// missed the other (origins.hpp), that holds for each origin by itself: where a listener changes over, to such a frame
/// or from one, packets may come again, and such a frame may be another packet than the other origin's.
class Sinks final : public Observer {
 public:
  explicit Sinks(const World& world) : world_(world), streams_(world.groups().size()) {}
  void on_sent(const Endpoint& from, const Endpoint& to, Bytes datagram) override;
  void on_played(std::size_t listener, const receive::Played& played) override;
  std::uint64_t frames() const { return frames_; }
  std::uint64_t lost() const { return lost_; }

 private:
  static constexpr std::int64_t kUnheard = -2, kEmpty = -1;  // else the encoder's packet
  struct Frame {
    std::int64_t packet = kUnheard;
    bool apart = false;  // the two origins were, when it was sealed
  };
  using Frames = std::array<Frame, wire::kMaxSources>;  // by source, from 1
  struct Heard {
    std::optional<Sequence> sequence;
    std::int64_t packet = -1;  // of the encoder; the last one
    std::uint8_t source = 0;   // of that
    bool apart = false;
  };
  struct Stream {
    std::unordered_map<std::uint64_t, Frames> frames;  // by sequence
    std::array<Sequence, wire::kMaxSources> sealed{};  // up to there
  };
  const World& world_;
  std::vector<Heard> heard_;     // by listener
  std::vector<Stream> streams_;  // by group
  std::uint64_t frames_ = 0, lost_ = 0;
};

/// No FRAME leaves for an address from which no CONTROL or JOIN has come for a lease's life and a tick of its clock,
/// however slow the node's own clock runs.
class Leases final : public Observer {
 public:
  explicit Leases(const World& world) : world_(world) {}
  void on_sent(const Endpoint& from, const Endpoint& to, Bytes datagram) override;
  void on_arrived(const Packet& packet) override;
  static constexpr Duration kMost = wire::kLeaseLife + wire::kTokenUnit + 10ms;  // 500 ppm of 15 s

 private:
  static std::uint64_t way(Host node, const Endpoint& to) {
    return std::uint64_t{node.number()} << 40 | std::uint64_t{host_of(to).number()} << 16 | to.port;
  }
  const World& world_;
  std::unordered_map<std::uint64_t, Time> heard_;
};

/// The tally, of all origins together (who has two tells one of them), is never above the greatest true count of the
/// last lease for longer than a lease.
class Tallies {
 public:
  explicit Tallies(World& world);
  /// Now and then, at least once a second.
  void look();
  /// All have been healed, everybody lived and all leases of the dead were over for two keepalive periods.
  void expect_exact() const;
  /// That are there now, paused or not.
  std::uint32_t listeners(std::size_t group) const;

 private:
  struct Count {
    Time at;
    std::uint32_t listeners;
  };
  /// None of them runs: nullopt.
  std::optional<std::uint32_t> told(std::size_t group) const;
  World& world_;
  std::vector<std::vector<Count>> counts_;  // by group: of the last lease
  std::vector<std::optional<Time>> above_;  // by group: since when
};

}  // namespace tiercast::sim
