// What a node or a listener does when a parent says that it will stop.
#pragma once

#include <array>
#include <span>

#include "relay/base/bytes.hpp"
#include "relay/control/parent.hpp"
#include "relay/wire/records.hpp"

namespace tiercast::node {

/// Parent `drains` has said so. The others, those for which stays(parent) holds, are sought without delay. Where there
/// is none, `drains` is told, by send(records), that nobody else is there: it is joined again as soon as it is back.
template <class Stays, class Send>
void seek_instead_of(std::size_t drains, std::span<control::Parent> parents, Stays&& stays, Send&& send, Time now) {
  bool hope = false;
  for (std::size_t p = 0; p < parents.size(); ++p) {
    if (!stays(p) || parents[p].refused()) continue;
    hope = true;
    parents[p].hurry(now);
  }
  if (hope) return;
  parents[drains].stay(now);
  std::array<std::uint8_t, 16> buffer;
  Writer no_other{buffer};
  wire::write_record(no_other, wire::kStays);
  send(no_other.written());
}

}  // namespace tiercast::node
