// What a configuration says, made into what a node works with: at the start, and while it runs.
#pragma once

#include "config/config.hpp"
#include "relay/net/udp_socket.hpp"
#include "relay/node/align_link.hpp"
#include "relay/node/finished_commands.hpp"
#include "relay/node/group.hpp"
#include "relay/node/origin.hpp"
#include "relay/node/recorder.hpp"
#include "relay/ops/log.hpp"
#include "relay/store/origin_state.hpp"
#include "relay/store/recording.hpp"

namespace tiercast::node {

std::unique_ptr<Group> make_group(const config::Group& from);

/// As it lies on the disk.
store::SourceState to_state(const Origin::SaveJob& job);

/// The origin's first epoch must be on disk before its first frame: saved here. Blocks. `group` has a source, `key`
/// signs for it.
tl::expected<std::unique_ptr<Origin>, net::Error> make_origin(const config::Group& group, const crypto::PrivateKey& key,
                                                              const store::OriginState& state, Random& random,
                                                              Moment now);

/// What all recordings of a node have in common. The pointers outlive them.
struct RecordingSetup {
  net::Loop* loop = nullptr;
  FinishedCommands* commands = nullptr;
  std::string node;
  std::string tag;  // see RecordingPlace
};
/// `group` has a record.
store::RecordingPlace recording_place(const config::Group& group, const RecordingSetup& setup);
/// Blocks.
tl::expected<std::unique_ptr<store::Recording>, net::Error> make_recording(const config::Group& group,
                                                                           const RecordingSetup& setup);
std::unique_ptr<Recorder> make_recorder(const config::Group& from, const Group& group,
                                        std::unique_ptr<store::Recording> files, Random& random, Time now);
/// The command that this group's recordings have, if any.
void run_finished_command(const config::Group& group, const RecordingSetup& setup, const std::string& file,
                          receive::FinishedBy why);

/// Null: its source has no align. `own_key` and `random` outlive it.
std::unique_ptr<AlignLink> make_align_link(const config::Group& group, const crypto::PrivateKey& own_key,
                                           Random& random, Moment now);
/// How its sockets are told of it.
std::vector<config::Upstream> align_upstreams(const config::Config& config);

/// What Config::log_level is called in the log.
ops::log::Level log_level(const config::Config& config);

/// Where an origin's RTP comes to.
tl::expected<net::UdpSocket, net::Error> bind_rtp(const Endpoint& at);

}  // namespace tiercast::node
