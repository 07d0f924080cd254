#include "relay/sim/agents.hpp"

#include <algorithm>

namespace tiercast::sim {

Uplinks::Uplinks(Carrier& carrier, Meter* meter, Host own, std::uint16_t first_port,
                 const std::vector<std::size_t>& parents)
    : carrier_(carrier), meter_(meter), own_(own), first_port_(first_port) {
  for (const std::size_t parent : parents) add(parent);
}

void Uplinks::add(std::size_t parent) {
  parents_.push_back(parent);
  numbers_.push_back(next_++);
}

void Uplinks::close_up(std::size_t p) {
  parents_.erase(parents_.begin() + static_cast<std::ptrdiff_t>(p));
  numbers_.erase(numbers_.begin() + static_cast<std::ptrdiff_t>(p));
}

Endpoint Uplinks::address(std::size_t parent) const {
  return endpoint_of(own_, static_cast<std::uint16_t>(first_port_ + numbers_[parent]));
}

void Uplinks::send_up(std::size_t parent, Bytes datagram) {
  const Outside outside{meter_};
  const Host to{true, static_cast<std::uint32_t>(parents_[parent])};
  carrier_.send(address(parent), endpoint_of(to, kPublicPort), datagram);
}

std::optional<std::size_t> Uplinks::parent_at(std::uint16_t port) const {
  const auto at = std::find(numbers_.begin(), numbers_.end(), static_cast<std::size_t>(port - first_port_));
  if (port < first_port_ || at == numbers_.end()) return std::nullopt;
  return static_cast<std::size_t>(at - numbers_.begin());
}

std::optional<std::size_t> Uplinks::parent_of(std::size_t node) const {
  const auto at = std::find(parents_.begin(), parents_.end(), node);
  if (at == parents_.end()) return std::nullopt;
  return static_cast<std::size_t>(at - parents_.begin());
}

WorkerAgent::WorkerAgent(Carrier& carrier, Meter* meter, const Endpoint& own, const NodeSpec& spec, std::size_t ring)
    : commands(ring),
      reports(ring),
      secrets(spec.max_leases),
      carrier_(carrier),
      meter_(meter),
      own_(own),
      datagram_takes_(spec.datagram_takes) {}

std::vector<std::unique_ptr<forward::FanOut>> WorkerAgent::make_fan_outs() {
  std::vector<std::unique_ptr<forward::FanOut>> out;
  auto made = std::make_unique<FanOutTable>([this](const FanOutTable::Entry& entry, Bytes what) {
    const Outside outside{meter_};
    carrier_.send(own_, entry.to, what);
  });
  made->entries.reserve(1024);
  fan_outs.push_back(made.get());
  out.push_back(std::move(made));
  return out;
}

void WorkerAgent::obey(const node::Command& command, Time now) {
  if (claimed && std::holds_alternative<node::Standing>(command)) return worker->on_command(*claimed, now);
  worker->on_command(command, now);
  std::uint64_t before = worker->counters().datagrams.get();
  while (worker->send_some(now)) {
    const std::uint64_t sent = worker->counters().datagrams.get();
    worker->sent_until(now, static_cast<std::int64_t>(sent - before) * datagram_takes_);
    before = sent;
  }
}

void Outlet::send(Bytes first, Bytes second, const Endpoint& to, const LocalAddress&) {
  const Outside outside{meter};
  Datagram whole(first.begin(), first.end());
  whole.insert(whole.end(), second.begin(), second.end());
  carrier.send(own, to, whole);
}

void MulticastOutlet::send_multicast(Bytes datagram, Time) {
  const Outside outside{meter};
  carrier.send_multicast(node, datagram);
}

}  // namespace tiercast::sim
