#include "relay/net/neighbours.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace tiercast::net {
namespace {

constexpr unsigned kAtOnce = 64;               // reads; what is left waits for the next poll
constexpr std::size_t kLargestAnswer = 32768;  // the kernel fills no more at once

Descriptor open_socket(std::initializer_list<int> groups) {
  Descriptor out{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE)};
  if (!out) return {};
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  if (::bind(out.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return {};
  for (const int group : groups)
    if (::setsockopt(out.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) return {};
  return out;
}

/// Size, or negative: errno. What does not come from the kernel is passed over.
ssize_t receive(int fd, std::span<std::uint8_t> into) {
  while (true) {
    sockaddr_nl from{};
    socklen_t from_size = sizeof from;
    const ssize_t size =
        ::recvfrom(fd, into.data(), into.size(), MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&from), &from_size);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return -errno;
    if (from_size == sizeof from && from.nl_pid == 0) return size;
  }
}

enum class For { answers, notifications };  // of which one may ask while the other is read
template <For>
std::span<std::uint8_t> buffer() {
  alignas(nlmsghdr) thread_local std::array<std::uint8_t, kLargestAnswer> out;
  return out;
}

}  // namespace

tl::expected<Neighbours, Error> Neighbours::open() {
  Descriptor questions = open_socket({});
  Descriptor notifications;
  if (questions)
    notifications = open_socket({RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
                                 RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE});
  if (!notifications)
    return tl::unexpected(Error{"xdp: cannot watch routes and neighbours: " + std::string{std::strerror(errno)}, 71});
  const int size = 1 << 20;  // as far as net.core.rmem_max allows
  ::setsockopt(notifications.get(), SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  return Neighbours{std::move(questions), std::move(notifications)};
}

template <class Parse>
auto Neighbours::ask(const std::vector<std::uint8_t>& question, std::uint16_t answer, Parse parse)
    -> decltype(parse(Bytes{})) {
  counters_.questions.add();
  // The kernel answers within the call: afterwards the answer is there.
  if (::send(questions_.get(), question.data(), question.size(), MSG_DONTWAIT) < 0) {
    counters_.unanswered.add();
    return std::nullopt;
  }
  while (true) {
    const ssize_t size = receive(questions_.get(), buffer<For::answers>());
    if (size < 0) break;
    Bytes rest = Bytes{buffer<For::answers>()}.first(static_cast<std::size_t>(size));
    while (const auto message = next_message(rest)) {
      if (message->sequence != sequence_) continue;  // of an earlier question
      if (message->type == NLMSG_ERROR) return std::nullopt;
      if (message->type != answer) continue;
      auto out = parse(message->body);
      if (!out) counters_.malformed.add();
      return out;
    }
  }
  counters_.unanswered.add();
  return std::nullopt;
}

std::optional<Route> Neighbours::route(const RouteQuestion& question) {
  return ask(route_question(question, ++sequence_), RTM_NEWROUTE, parse_route);
}

Neighbour Neighbours::ask_neighbour(const Key& key) {
  const auto answer = ask(neighbour_question(key.first, key.second, ++sequence_), RTM_NEWNEIGH, parse_neighbour);
  return answer.value_or(Neighbour{key.first, key.second, {}, false, false});
}

Link Neighbours::ask_link(std::uint32_t interface) {
  const auto answer = ask(link_question(interface, ++sequence_), RTM_NEWLINK, parse_link);
  return answer.value_or(Link{interface, {}, 0, false, false});
}

const Neighbour& Neighbours::neighbour(std::uint32_t interface, const IpAddress& ip) {
  const Key key{interface, ip};
  const auto found = neighbours_.find(key);
  return found != neighbours_.end() ? found->second : neighbours_.emplace(key, ask_neighbour(key)).first->second;
}

const Link& Neighbours::link(std::uint32_t interface) {
  const auto found = links_.find(interface);
  return found != links_.end() ? found->second : links_.emplace(interface, ask_link(interface)).first->second;
}

Neighbours::Changes Neighbours::poll() {
  Changes changes;
  for (unsigned i = 0; i < kAtOnce; ++i) {
    const ssize_t size = receive(notifications_.get(), buffer<For::notifications>());
    if (size >= 0) {
      counters_.notifications.add();
      take_in(Bytes{buffer<For::notifications>()}.first(static_cast<std::size_t>(size)), changes);
      continue;
    }
    if (size != -ENOBUFS) return changes;
    counters_.lost.add();
    ask_all_again();
    return {true, true, true};  // whoever makes so many does not keep us here
  }
  return changes;
}

void Neighbours::take_in(Bytes notifications, Changes& changes) {
  while (!notifications.empty()) {
    const auto message = next_message(notifications);
    if (!message) return counters_.malformed.add();
    switch (message->type) {
      case RTM_NEWNEIGH:
      case RTM_DELNEIGH: {
        auto told = parse_neighbour(message->body);
        if (!told) break;  // of a bridge's table, say
        const auto known = neighbours_.find({told->interface, told->ip});
        if (known == neighbours_.end()) break;
        if (message->type == RTM_DELNEIGH) told->usable = told->permanent = false;
        changes.neighbours = changes.neighbours || *told != known->second;
        known->second = *told;
        break;
      }
      case RTM_NEWLINK:
      case RTM_DELLINK: {
        const auto told = parse_link(message->body);
        const auto known = told ? links_.find(told->interface) : links_.end();
        if (known == links_.end()) break;
        // A bridge tells of its ports in messages of the same type that say less: ask.
        const Link now = ask_link(told->interface);
        changes.links = true;
        changes.routes = changes.routes || now.running != known->second.running;
        known->second = now;
        break;
      }
      default: changes.routes = true; break;  // of routes, addresses, rules
    }
  }
}

void Neighbours::ask_all_again() {
  for (auto& [key, neighbour] : neighbours_) neighbour = ask_neighbour(key);
  for (auto& [interface, link] : links_) link = ask_link(interface);
}

}  // namespace tiercast::net
