// From gaps to questions: which parent is sent which NACK for what a group lacks here. The same at nodes and listeners;
// who asks and what is missing is forward/'s, sending the caller's.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <vector>

#include "relay/base/bytes.hpp"
#include "relay/control/parent.hpp"
#include "relay/forward/attestation_gaps.hpp"
#include "relay/forward/gaps.hpp"
#include "relay/wire/records.hpp"

namespace tiercast::node {

/// What a group lacks, and what is of no use to anybody here any more.
struct Lacking {
  GroupId group;
  forward::Gaps& gaps;
  forward::GroupAttestationGaps& attestation_gaps;
  std::optional<Sequence> useless_below{};
};

class Asking {
 public:
  /// Every NACK that is due now leaves by send(parent, records). `brought(parent)`: forward::Brought of that group, by
  /// that parent's way.
  template <class BroughtBy, class Send>
  void ask(const Lacking& of, std::span<const control::Parent> parents, BroughtBy&& brought, Send&& send, Time now) {
    if (now < std::min(of.gaps.next_deadline(), of.attestation_gaps.next_deadline())) return;
    if (of.useless_below) of.gaps.forget(*of.useless_below);
    askees_.clear();
    for (std::size_t p = 0; p < parents.size(); ++p) askees_.push_back(askee(parents[p], brought(p), now));
    wire::Nack nack;
    for (;;) {
      auto p = of.gaps.due(of.group, askees_, nack, now);
      if (!p) p = of.attestation_gaps.due(of.group, askees_, nack, now);
      if (!p) return;
      std::array<std::uint8_t, 512> buffer;  // wire::kMaxNackRanges of 8 bytes, and little else
      Writer records{buffer};
      wire::write_record(records, nack);
      send(*p, records.written());
    }
  }

 private:
  static forward::Askee askee(const control::Parent& parent, const forward::Brought& brought, Time now) {
    return {parent.may_be_asked(), parent.may_be_asked() && parent.live(now),
            parent.seeking(),      parent.round_trip(),
            brought.loss(),        brought.newest(),
            brought.progress()};
  }
  std::vector<forward::Askee> askees_;  // room for one a parent
};

}  // namespace tiercast::node
