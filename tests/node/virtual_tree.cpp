#include "tests/node/virtual_tree.hpp"

#include "relay/sim/counters.hpp"

#include <algorithm>

namespace tiercast::test {
namespace {

constexpr std::size_t kMostNodes = 16;

}  // namespace

VirtualTree::VirtualTree(std::uint64_t seed, std::vector<GroupSpec> groups)
    : World({.seed = seed, .groups = std::move(groups), .nodes = kMostNodes, .meter = this}) {
  watch(this);
}

std::size_t VirtualTree::add(const NodeSpec& spec) {
  for (std::size_t n = 0; n < nodes(); ++n) {
    if (node_host(n).process) continue;
    restart(n, spec);
    return n;
  }
  return World::add(spec);
}

Endpoint VirtualTree::listener_multicast(std::size_t listener, std::size_t parent) {
  return endpoint_of(sim::Host{false, static_cast<std::uint32_t>(listener)},
                     static_cast<std::uint16_t>(sim::kMulticastInPort + parent));
}

Endpoint VirtualTree::listener_address(std::size_t listener, std::size_t parent) const {
  if (listener < listeners()) return listener_host(listener).uplinks->address(parent);
  return endpoint_of(sim::Host{false, static_cast<std::uint32_t>(listener)},
                     static_cast<std::uint16_t>(sim::kUplinkPort + parent));
}

void VirtualTree::on_sent(const Endpoint& from, const Endpoint& to, Bytes datagram) {
  const auto header = wire::parse_header(datagram);
  const bool multicast = from.port == sim::kMulticastPort;
  if (!header || header->type != wire::Type::frame || (from.port != sim::kPublicPort && !multicast)) return;
  const auto way = multicast               ? wire::Trailers::signature
                   : sim::host_of(to).node ? wire::Trailers::link
                                           : wire::Trailers::none;
  const Bytes frame = datagram.first(datagram.size() - wire::trailer_size(header->type, way));
  auto& first = sealed_[{header->group.value, header->source.value, header->sequence.value}];
  if (first.empty()) first.assign(frame.begin(), frame.end());
  if (!std::equal(frame.begin(), frame.end(), first.begin(), first.end())) ++conflicts;
}

void VirtualTree::on_played(std::size_t l, const receive::Played& played) {
  Heard heard{played.sequence, played.kind, -1, false, played.discontinuity, time()};
  if (played.kind == receive::PlayedKind::frame) {
    if (const auto number = speech(listener_host(l).spec.group).number_of(played.opus)) {
      heard.as_sent = true;
      heard.number = *number;
    }
  }
  if (heard_.size() <= l) heard_.resize(l + 1);
  heard_[l].push_back(heard);
}

// --- looking ---

const std::vector<VirtualTree::Heard>& VirtualTree::heard(std::size_t l) const {
  static const std::vector<Heard> nothing;
  return l < heard_.size() ? heard_[l] : nothing;
}

std::size_t VirtualTree::destinations(std::size_t n, std::size_t w, std::size_t g) const {
  return process(n).workers[w]->fan_outs[g]->size();
}

const node::WorkerCounters& VirtualTree::worker_counters(std::size_t n, std::size_t w) const {
  return process(n).workers[w]->worker->counters();
}

const node::Passage& VirtualTree::passage(std::size_t n, std::size_t w) const {
  return process(n).workers[w]->worker->passage();
}

std::uint64_t VirtualTree::counter(std::size_t n, const std::string& name) {
  std::uint64_t sum = 0;
  bool known = false;
  const auto add = [&](const char* of, const Counter& counter) {
    if (name != of) return;
    known = true;
    sum += counter.get();
  };
  sim::each_counter(process(n), add);
  REQUIRE_MESSAGE((known || feed(n).parents().empty()), name);
  return sum;
}

std::uint64_t VirtualTree::listener_counter(std::size_t l, const std::string& name) {
  std::uint64_t sum = 0;
  const auto add = [&](const char* of, const Counter& counter) {
    if (name == of) sum += counter.get();
  };
  sim::each_counter(listener(l), add);
  return sum;
}

std::size_t VirtualTree::lost_by(std::size_t l) const {
  const auto& all = heard(l);
  return static_cast<std::size_t>(
      std::count_if(all.begin(), all.end(), [](const Heard& h) { return h.kind == receive::PlayedKind::lost; }));
}

std::size_t VirtualTree::good(std::size_t l, std::size_t from) const {
  const auto& all = heard(l);
  std::size_t count = 0;
  std::int64_t last = -1;
  for (std::size_t i = from; i < all.size(); ++i) {
    if (i > from) REQUIRE((all[i].discontinuity || all[i].sequence == all[i - 1].sequence.next()));
    if (i > from) REQUIRE(all[i].sequence > all[i - 1].sequence);
    if (all[i].kind != receive::PlayedKind::frame) continue;
    REQUIRE(all[i].as_sent);
    REQUIRE(all[i].number > last);
    last = all[i].number;
    ++count;
  }
  return count;
}

}  // namespace tiercast::test
