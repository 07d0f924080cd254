// What one seed stands for: a tree, its network, and what happens to both. The same seed makes the same scenario on
// every machine.
#pragma once

#include <string>

#include "relay/sim/world.hpp"

namespace tiercast::sim {

enum class FaultKind : std::uint8_t {
  kill,            // a node, started again at the end
  pause,           // a node
  pause_listener,  // likewise
  stall,           // a node's workers
  link,            // between `who` and `other` it is as `model`
  network,         // everywhere
  partition,       // the hosts in `side` are apart from the others
  move,            // a listener's address changes
  leave,           // a listener is killed
  come,            // another one, as `listener`
  quiet,           // the encoder sends nothing
  rotate,          // a new epoch of an origin's `group`
  drop_group,      // a node carries `group` no more, until the end
  retire,          // a node leaves its parent `other`, until the end
  forbid,          // no relay may join a node, until the end
  drain,           // a node sends those below it elsewhere; at the end it stops, and is started again
  unplug,          // none of the encoder's packets come to an origin
  step,            // a wall clock goes by `by` at once, and (`both`) back at the end
  multicast_lost,  // nothing of a node's IP multicast comes to anybody
};

struct Fault {
  FaultKind kind{};
  Duration from{}, length{};  // after the beginning
  Host who, other;
  std::size_t group = 0;
  LinkModel model;
  bool both = true;  // directions of a link; steps of a clock
  Duration by{};
  std::vector<Host> side;
  ListenerSpec listener;
};

struct Scenario {
  std::uint64_t seed = 0;
  std::vector<GroupSpec> groups;
  std::vector<NodeSpec> nodes;  // parents before children
  std::vector<ListenerSpec> listeners;
  LinkModel base;
  bool refuses = false;
  std::int64_t encoder_ppm = 0;
  Duration warm_up{}, faulty{}, rest{};
  bool calm = false;  // the rest is long enough for all to be as it should
  Duration way{};     // from an origin to a listener, at most
  std::vector<Fault> faults;
};

Scenario make_scenario(std::uint64_t seed);
/// For who looks into a seed, a few lines.
std::string describe(const Scenario& scenario);
std::string describe(const Fault& fault);

}  // namespace tiercast::sim
