// What a group's two origins know of each other.
#pragma once

#include "relay/sim/world.hpp"

namespace tiercast::sim {

/// Of two origins that both run neither agrees with the other: they were started out of each other's hearing (or one
/// was restarted so), each goes by its own clock, and one of them has to move. Until then there are two streams, of
/// which nobody below can tell that they number the same packets differently.
bool apart(const World& world, std::size_t group);

/// This origin started when the other one was about to end: within half a second, too short to join there and be told.
/// It has not aligned with anybody since, and what it seals may be what the other one sealed in that time.
bool missed_the_other(const World& world, std::size_t group, std::size_t origin);

}  // namespace tiercast::sim
