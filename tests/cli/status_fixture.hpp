// Nodes with nothing wrong, as their status says it, to break one thing of.
#pragma once

#include "relay/cli/status_snapshot.hpp"

namespace tiercast::test {

inline cli::Snapshot node(const char* role) {
  cli::Snapshot s;
  s.version = "0.1.0";
  s.name = "edge-1";
  s.id = "0123456789abcdef";
  s.role = role;
  s.uptime_ms = 60'000;
  s.started_unix_ms = 1'700'000'000'000;
  s.listen = cli::Snapshot::Listen{};
  s.listen->addresses = "0.0.0.0:4800";
  s.listen->leases = 3;
  s.listen->listeners = 3;
  s.listen->max_leases = 100;
  s.listen->worker_quiet_ms = {100, 900};
  s.listen->by_loss = {{0, 3}, {0.01, 0}, {1, 0}};
  return s;
}

inline cli::Snapshot::Parent live_parent(const std::string& address) {
  cli::Snapshot::Parent parent;
  parent.address = address;
  parent.state = "live";
  parent.round_trip_ms = 0.3;
  parent.datagrams = 1000;
  return parent;
}

inline cli::Snapshot relay() {
  cli::Snapshot s = node("relay");
  s.parents = {live_parent("192.0.2.1:4800"), live_parent("192.0.2.2:4800")};
  s.live_parents = 2;
  cli::Snapshot::Group group;
  group.name = "main";
  group.id = 1;
  group.subscribed = true;
  group.last_frame_ms = 12;
  group.latency_ms = 3;
  group.listeners = 3;
  group.epoch = 1'700'000'000;
  group.frames = 3000;
  group.audio_bytes = 180'000;
  s.groups = {group};
  return s;
}

inline cli::Snapshot origin() {
  cli::Snapshot s = node("origin");
  cli::Snapshot::Group group;
  group.name = "main";
  group.id = 1;
  group.input = cli::Snapshot::Input{};
  group.input->kind = "rtp";
  group.input->from = "127.0.0.1:5004";
  group.input->age_ms = 15;
  group.input->bits_per_second = 24'000;
  group.listeners = 3;
  group.epoch = 1'700'000'000;
  group.frames = 3000;
  s.groups = {group};
  return s;
}

/// The same node so much later, when nothing more was counted.
inline cli::Snapshot later(cli::Snapshot s, double ms = 1000) {
  s.uptime_ms += ms;
  return s;
}

}  // namespace tiercast::test
