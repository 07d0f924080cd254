// What a running node sees, as JSON: for `tiercast status`, dashboards and tests. The one place with a JSON library.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "relay/node/feed.hpp"
#include "relay/node/finished_commands.hpp"
#include "relay/node/media_thread.hpp"
#include "relay/node/public_outlet.hpp"
#include "relay/node/uplink_sockets.hpp"
#include "relay/node/worker_thread.hpp"

namespace tiercast::node {

/// Before a node stops, those below are to go elsewhere.
struct DrainStatus {
  std::size_t leases = 0;   // left
  std::size_t staying = 0;  // of these, whose holders said that they cannot
  Duration left{};          // then it stops
};

struct StatusSources {
  const config::Config& config;
  const Backend& backend;
  const Feed& feed;
  const std::vector<std::unique_ptr<WorkerThread>>& workers;
  const std::vector<std::unique_ptr<MediaThread>>& media;
  const UplinkSockets& uplinks;
  const PublicOutlet& outlet;
  const net::Loop& loop;
  std::span<const net::UdpSocket> join_sockets;
  Moment start;
  std::span<const Time> workers_turned;  // when each worker was last seen to turn
  const PlacementCounters& feed_placement;
  std::optional<DrainStatus> drain;
  const FinishedCommandCounters& finished_commands;
};

std::string status_json(const StatusSources& sources, Moment now);
std::string ok_json(const std::string& result);
/// `over`: it stops now.
std::string drain_json(const DrainStatus& drain, bool over);
std::string error_json(const std::string& error);
/// What came of a reload: refused because of `problems`, or what was taken over and what was not.
std::string reload_json(const std::vector<std::string>& problems, const std::vector<std::string>& applied,
                        const std::vector<std::string>& restart);

}  // namespace tiercast::node
