// What a configuration says, made into what a node works with: at the start, and while it runs.
#pragma once

#include "config/config.hpp"
#include "relay/net/udp_socket.hpp"
#include "relay/node/group.hpp"
#include "relay/node/origin.hpp"
#include "relay/ops/log.hpp"
#include "relay/store/origin_state.hpp"

namespace tiercast::node {

std::unique_ptr<Group> make_group(const config::Group& from);

/// The origin's first epoch must be on disk before its first frame: saved here. Blocks. `group` has a source, `key`
/// signs for it.
tl::expected<std::unique_ptr<Origin>, net::Error> make_origin(const config::Group& group, const crypto::PrivateKey& key,
                                                              const store::OriginState& state, Random& random,
                                                              Moment now);

/// What Config::log_level is called in the log.
ops::log::Level log_level(const config::Config& config);

/// Where an origin's RTP comes to.
tl::expected<net::UdpSocket, net::Error> bind_rtp(const Endpoint& at);

}  // namespace tiercast::node
