#include "relay/net/passed_sockets.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "relay/base/exit_code.hpp"

namespace tiercast::net {
namespace {

struct Set {
  Endpoint address;
  std::vector<UdpSocket> sockets;
};

std::string in_words(std::span<const Endpoint> addresses, std::size_t sockets) {
  std::string out;
  for (const Endpoint& address : addresses) out += (out.empty() ? "" : ", ") + to_string(address);
  return out + " (" + std::to_string(sockets) + (sockets == 1 ? " socket" : " sockets") +
         (addresses.size() > 1 ? " each)" : ")");
}

/// "0.0.0.0:4800 (2 sockets), [::]:4801 (1 socket)".
std::string in_words(const std::vector<Set>& sets) {
  std::string out;
  for (const Set& set : sets)
    out += (out.empty() ? "" : ", ") + in_words(std::span{&set.address, 1}, set.sockets.size());
  return out;
}

/// What must agree with the configuration; the address itself need not.
std::vector<std::pair<int, std::uint16_t>> kinds(std::span<const Endpoint> addresses) {
  std::vector<std::pair<int, std::uint16_t>> out;
  for (const Endpoint& address : addresses) out.emplace_back(family_of(address), address.port);
  std::sort(out.begin(), out.end());
  return out;
}

tl::unexpected<Error> mismatch(const std::string& is, const std::string& needed) {
  return tl::unexpected(Error{"the sockets passed in are " + is + ", and this configuration needs " + needed +
                                  ", one for joins and one a worker: write the socket unit's drop-in with "
                                  "`tiercast check -c FILE --print-socket-unit`",
                              ExitCode::config});
}

}  // namespace

tl::expected<std::vector<PublicSockets>, Error> adopt_public(std::vector<PassedSocket> passed,
                                                             std::span<const Endpoint> addresses,
                                                             std::span<const std::uint16_t> boot_tags) {
  std::vector<Set> sets;
  for (PassedSocket& one : passed) {
    auto socket = UdpSocket::adopt(std::move(one.descriptor));
    if (!socket) {
      const std::string which = one.name.empty() ? "" : " (" + one.name + ")";
      return tl::unexpected(Error{"a descriptor passed in" + which + " is " + socket.error().text +
                                      ": write the socket unit's drop-in with "
                                      "`tiercast check -c FILE --print-socket-unit`",
                                  socket.error().exit_code});
    }
    const Endpoint address = socket->local();
    auto set = std::find_if(sets.begin(), sets.end(), [&](const Set& s) {
      return s.address == address && s.sockets.front().family() == socket->family();
    });
    if (set == sets.end()) set = sets.insert(sets.end(), Set{address, {}});
    set->sockets.push_back(std::move(*socket));
  }

  const std::size_t each = 1 + boot_tags.size();
  std::vector<Endpoint> bound;
  for (const Set& set : sets) bound.push_back(set.address);
  const bool as_many =
      std::all_of(sets.begin(), sets.end(), [each](const Set& set) { return set.sockets.size() == each; });
  if (!as_many || kinds(bound) != kinds(addresses)) return mismatch(in_words(sets), in_words(addresses, each));

  std::vector<PublicSockets> out;
  for (Set& set : sets) {
    PublicSockets sockets{std::move(set.sockets.front()), {}};
    std::move(set.sockets.begin() + 1, set.sockets.end(), std::back_inserter(sockets.workers));
    if (auto steered = steer(sockets, boot_tags); !steered) return tl::unexpected(steered.error());
    out.push_back(std::move(sockets));
  }
  return out;
}

}  // namespace tiercast::net
