#include "relay/net/xdp_sender.hpp"

#include <arpa/inet.h>

#include <algorithm>

#include "relay/net/address.hpp"
#include "relay/net/xdp_packet.hpp"

namespace tiercast::net {
namespace {

constexpr Duration kTryEvery = 10s;  // a device that refused

/// From a device to itself, of the type that IEEE 802 keeps for experiments: no switch carries it further.
std::array<std::uint8_t, 60> probe_frame(const MacAddress& mac) {
  std::array<std::uint8_t, 60> out{};
  std::copy(mac.begin(), mac.end(), out.begin());
  std::copy(mac.begin(), mac.end(), out.begin() + 6);
  out[12] = 0x88;
  out[13] = 0xb5;
  return out;
}

}  // namespace

tl::expected<std::unique_ptr<XdpSender>, Error> XdpSender::open(const XdpOptions& options) {
  auto program = XdpProgram::load(options);
  if (!program) return tl::unexpected(program.error());
  auto neighbours = Neighbours::open();
  if (!neighbours) return tl::unexpected(neighbours.error());
  return std::unique_ptr<XdpSender>{new XdpSender{std::move(*program), std::move(*neighbours)}};
}

XdpSender::Resolved XdpSender::resolve(const RouteQuestion& question) {
  const auto route = neighbours_.route(question);
  if (const Detour detour = judge_route(question.to, question.from, route); detour != Detour::none)
    return {kNoWay, detour};
  const Key key{route->interface, route->next_hop == IpAddress{} ? question.to.ip : route->next_hop, question.from};
  if (const auto found = index_.find(key); found != index_.end()) {
    ++ways_[found->second].users;
    return {found->second, ways_[found->second].detour};
  }
  std::uint32_t way = static_cast<std::uint32_t>(ways_.size());
  if (!free_ways_.empty()) {
    way = free_ways_.back();
    free_ways_.pop_back();
  } else if (way == program_->way_capacity()) {
    return {kNoWay, Detour::table_full};
  } else {
    ways_.emplace_back();
  }
  ways_[way] = {.key = key, .device = device_of(key.interface), .users = 1};
  index_.emplace(key, way);
  ++devices_[ways_[way].device].users;
  look_at(way);
  return {way, ways_[way].detour};
}

void XdpSender::release(std::uint32_t way) {
  Way& gone = ways_[way];
  if (--gone.users != 0) return;
  const Key key = gone.key;
  index_.erase(key);
  free_ways_.push_back(way);
  const auto other = index_.lower_bound({key.interface, key.next_hop, {}});  // with another source
  if (other == index_.end() || other->first.interface != key.interface || other->first.next_hop != key.next_hop)
    neighbours_.forget(key.interface, key.next_hop);
  --devices_[gone.device].users;  // it stays: who comes next will be behind the same
}

bool XdpSender::try_device(std::uint32_t interface, Device& device) {
  const Link& link = neighbours_.link(interface);
  device.tried = true;
  device.takes = false;
  if (!link.ethernet || !link.running) return false;
  counters_.probes.add();
  program_->forget_device(interface);  // it may be another device with this number
  if (const auto index = program_->device(interface)) {
    const XdpProgram::Outcome outcome = program_->probe(probe_frame(link.mac), *index);
    device.takes = outcome.sent == 1 || outcome.congested();
  }
  if (!device.takes) counters_.probes_refused.add();
  return device.takes;
}

std::uint32_t XdpSender::device_of(std::uint32_t interface) {
  const Link& link = neighbours_.link(interface);
  return link.lower != 0 ? link.lower : interface;
}

void XdpSender::look_at(std::uint32_t index) {
  Way& way = ways_[index];
  const Link& link = neighbours_.link(way.key.interface);
  // Made anew with the same number, it may be another VLAN.
  if (const std::uint32_t now = device_of(way.key.interface); now != way.device) {
    --devices_[way.device].users;
    way.device = now;
    ++devices_[now].users;
  }
  Device& device = devices_[way.device];
  if (!device.tried && link.running) try_device(way.device, device);
  const Neighbour& neighbour = neighbours_.neighbour(way.key.interface, way.key.next_hop);
  Detour detour = judge_way(link, device.takes, neighbour);
  const auto number = detour == Detour::none ? program_->device(way.device) : std::nullopt;
  if (detour == Detour::none && (way.detour != detour || way.from != link.mac || way.to != neighbour.mac ||
                                 way.tag != link.tag || number != way.number)) {
    if (number) {
      way.number = *number;
      program_->way(index) = make_xdp_way(*number, link.mac, neighbour.mac, way.key.source, link.tag);
      way.from = link.mac;
      way.to = neighbour.mac;
      way.tag = link.tag;
      counters_.way_changes.add();
    } else {
      detour = Detour::table_full;
    }
  } else if (detour != way.detour) {
    counters_.way_changes.add();
  }
  if (detour != way.detour) ++version_;
  way.detour = detour;
}

void XdpSender::refresh(Time now) {
  const Neighbours::Changes changes = neighbours_.poll();
  if (changes.routes) ++route_version_;
  const bool again = now >= next_try_;
  if (again) next_try_ = now + kTryEvery;
  bool look = changes.neighbours || changes.links;
  for (auto at = devices_.begin(); at != devices_.end();) {
    auto& [interface, device] = *at;
    if (changes.links && device.users == 0 && !neighbours_.link(interface).running) {
      program_->forget_device(interface);
      at = devices_.erase(at);
      continue;
    }
    if (doubt_ || (!device.takes && (again || changes.links))) {
      try_device(interface, device);
      look = true;  // its number in the program may be another one now
    }
    ++at;
  }
  doubt_ = false;
  for (std::uint32_t way = 0; look && way < ways_.size(); ++way)
    if (ways_[way].users != 0) look_at(way);
}

}  // namespace tiercast::net
