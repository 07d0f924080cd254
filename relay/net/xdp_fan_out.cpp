#include "relay/net/xdp_fan_out.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "relay/net/loop.hpp"
#include "relay/wire/limits.hpp"

namespace tiercast::net {
namespace {

constexpr std::size_t kResolvedPerFrame = 500;  // after the routes changed: some 3 ms

std::uint32_t option(const UdpSocket& socket, int level, int name, std::uint32_t otherwise) {
  int value = 0;
  socklen_t size = sizeof value;
  if (::getsockopt(socket.fd(), level, name, &value, &size) != 0 || value < 0) return otherwise;
  return static_cast<std::uint32_t>(value);
}

XdpHeaders headers_of(const UdpSocket& socket, bool v6) {
  const int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
  return {socket.local().port, static_cast<std::uint8_t>(option(socket, level, v6 ? IPV6_UNICAST_HOPS : IP_TTL, 64)),
          static_cast<std::uint8_t>(option(socket, level, v6 ? IPV6_TCLASS : IP_TOS, 0))};
}

}  // namespace

XdpFanOut::XdpFanOut(XdpSender& sender, const UdpSocket& socket, XdpFanOutCounters* counters,
                     FanOutCounters* detour_counters)
    : sender_(sender),
      socket_(socket),
      headers_v4_(headers_of(socket, false)),
      headers_v6_(headers_of(socket, true)),
      bound_(socket.is_wildcard() ? IpAddress{} : socket.local().ip),
      interface_(option(socket, SOL_SOCKET, SO_BINDTOIFINDEX, 0)),
      mark_(option(socket, SOL_SOCKET, SO_MARK, 0)),
      detour_(socket, detour_counters),
      version_(sender.version()),
      route_version_(sender.route_version()),
      counters_(counters != nullptr ? *counters : own_counters_) {}

XdpFanOut::~XdpFanOut() {
  for (auto index = static_cast<std::uint32_t>(places_.size()); index-- > 0;) take_out(index);
  for (const Table& table : tables_)
    for (const std::uint32_t chunk : table.chunks) sender_.program().give_chunk(chunk);
}

xdp_destination& XdpFanOut::at(const Table& table, std::uint32_t position) {
  return sender_.program().destination(table.chunks[position / XDP_CHUNK] * XDP_CHUNK + position % XDP_CHUNK);
}

XdpSender::Resolved XdpFanOut::resolve(const Endpoint& to, const LocalAddress& from) {
  return sender_.resolve({to, bound_ == IpAddress{} ? from.ip : bound_, headers_v4_.source_port, interface_, mark_});
}

void XdpFanOut::set(std::size_t index, const Endpoint& to, const LocalAddress& from) {
  assert(index <= places_.size());
  if (index == places_.size()) {
    places_.push_back({});
    put(static_cast<std::uint32_t>(index), to, from, resolve(to, from));
  } else {
    const auto resolved = resolve(to, from);  // first: the way is often the same, and stays in use so
    take_out(static_cast<std::uint32_t>(index));
    put(static_cast<std::uint32_t>(index), to, from, resolved);
  }
}

bool XdpFanOut::put(std::uint32_t index, const Endpoint& to, const LocalAddress& from, XdpSender::Resolved by) {
  if (by.detour == Detour::none) {
    if (put_in_table(index, to, by.way)) return true;
    by.detour = Detour::table_full;
  }
  put_in_detour(index, {to, from, index, by.way, by.detour});
  return false;
}

bool XdpFanOut::put_in_table(std::uint32_t index, const Endpoint& to, std::uint32_t way) {
  const std::uint32_t number = to.is_v4() ? 0 : 1;
  Table& table = tables_[number];
  const auto position = static_cast<std::uint32_t>(table.owners.size());
  if (position / XDP_CHUNK == table.chunks.size()) {
    const auto chunk = sender_.program().take_chunk();
    if (!chunk) return false;
    table.chunks.push_back(*chunk);
  }
  table.owners.push_back(index);
  at(table, position) = make_xdp_destination(to, way);
  places_[index] = {number & 3U, position & 0x3fffffffU};
  count(Detour::none, 1);
  return true;
}

void XdpFanOut::put_in_detour(std::uint32_t index, const Detoured& entry) {
  const std::size_t position = detoured_.size();
  detoured_.push_back(entry);
  detour_.set(position, entry.to, entry.from);
  places_[index] = {kDetoured, static_cast<std::uint32_t>(position) & 0x3fffffffU};
  count(entry.why, 1);
}

void XdpFanOut::move(Table& table, std::uint32_t from, std::uint32_t to) {
  if (from == to) return;
  at(table, to) = at(table, from);
  table.owners[to] = table.owners[from];
  places_[table.owners[to]].position = to & 0x3fffffffU;
}

void XdpFanOut::take_out(std::uint32_t index, bool keep_way) {
  const Place place = places_[index];
  if (place.where == kDetoured) {
    const Detoured& gone = detoured_[place.position];
    if (gone.way != XdpSender::kNoWay && !keep_way) sender_.release(gone.way);
    count(gone.why, -1);
    detour_.remove(place.position);
    detoured_[place.position] = detoured_.back();
    detoured_.pop_back();
    if (place.position < detoured_.size()) places_[detoured_[place.position].owner].position = place.position;
    return;
  }
  Table& table = tables_[place.where];
  if (!keep_way) sender_.release(at(table, place.position).way);
  count(Detour::none, -1);
  // Between pieces of a frame, what has got it stays before what has not.
  std::uint32_t hole = place.position;
  if (hole < table.done) {
    --table.done;
    move(table, table.done, hole);
    hole = table.done;
  }
  move(table, static_cast<std::uint32_t>(table.owners.size()) - 1, hole);
  table.owners.pop_back();
  // One spare chunk stays, as in SendmmsgFanOut.
  if (table.chunks.size() > (table.owners.size() + XDP_CHUNK - 1) / XDP_CHUNK + 1) {
    sender_.program().give_chunk(table.chunks.back());
    table.chunks.pop_back();
  }
}

void XdpFanOut::remove(std::size_t index) {
  assert(index < places_.size());
  take_out(static_cast<std::uint32_t>(index));
  const std::size_t last = places_.size() - 1;
  if (index != last) {
    places_[index] = places_[last];
    const Place moved = places_[index];
    if (moved.where == kDetoured) {
      detoured_[moved.position].owner = static_cast<std::uint32_t>(index);
    } else {
      tables_[moved.where].owners[moved.position] = static_cast<std::uint32_t>(index);
    }
  }
  places_.pop_back();
  if (unresolved_ > 0 && index != last) resolve_one(static_cast<std::uint32_t>(index));  // its turn may be past there
}

void XdpFanOut::count(Detour why, int by) {
  const auto index = static_cast<std::size_t>(why);
  detours_[index] += static_cast<std::uint32_t>(by);
  Counter& all = counters_.reached[index];
  all.set(all.get() + static_cast<std::uint64_t>(by));
}

void XdpFanOut::set_why(Detoured& entry, Detour why) {
  count(entry.why, -1);
  count(why, 1);
  entry.why = why;
}

void XdpFanOut::review() {
  for (Table& table : tables_) {
    for (auto position = static_cast<std::uint32_t>(table.owners.size()); position-- > 0;) {
      const xdp_destination destination = at(table, position);
      const Detour why = sender_.detour(destination.way);
      if (why == Detour::none) continue;
      const std::uint32_t index = table.owners[position];
      take_out(index, true);
      put_in_detour(index, {endpoint_of(destination), {sender_.source(destination.way)}, index, destination.way, why});
      counters_.demoted.add();
    }
  }
  for (std::size_t position = detoured_.size(); position-- > 0;) {
    Detoured& entry = detoured_[position];
    if (entry.way == XdpSender::kNoWay) continue;
    const Detour why = sender_.detour(entry.way);
    if (why != Detour::none) {
      set_why(entry, why);
      continue;
    }
    const Detoured back = entry;
    take_out(back.owner, true);
    if (put(back.owner, back.to, back.from, {back.way, Detour::none})) counters_.promoted.add();
  }
}

// Goes around, wherever it was when the routes changed again: nobody waits for longer than one turn.
void XdpFanOut::resolve_some() {
  unresolved_ = std::min(unresolved_, places_.size());
  for (std::size_t i = 0; i < kResolvedPerFrame && unresolved_ > 0; ++i, --unresolved_) {
    next_resolved_ = next_resolved_ < places_.size() ? next_resolved_ : 0;
    resolve_one(static_cast<std::uint32_t>(next_resolved_++));
  }
}

void XdpFanOut::resolve_one(std::uint32_t index) {
  const Place place = places_[index];
  Detoured now;
  if (place.where == kDetoured) {
    now = detoured_[place.position];
  } else {
    const xdp_destination& destination = at(tables_[place.where], place.position);
    now = {endpoint_of(destination), {sender_.source(destination.way)}, index, destination.way, Detour::none};
  }
  const XdpSender::Resolved resolved = resolve(now.to, now.from);
  if (resolved.way == now.way) {  // as before
    if (resolved.way != XdpSender::kNoWay) {
      sender_.release(resolved.way);  // what resolve() has just counted
    } else {
      set_why(detoured_[place.position], resolved.detour);
    }
    return;
  }
  take_out(index);
  const bool direct = put(index, now.to, now.from, resolved);
  if (direct && place.where == kDetoured) counters_.promoted.add();
  if (!direct && place.where != kDetoured) counters_.demoted.add();
}

void XdpFanOut::start(Bytes datagram) {
  for (Table& table : tables_) {
    table.done = 0;
    table.ready = false;
  }
  datagram_ = datagram;
  sender_.refresh(read_clocks().mono);
  if (route_version_ != sender_.route_version()) {
    route_version_ = sender_.route_version();
    unresolved_ = places_.size();
  }
  resolve_some();
  if (version_ != sender_.version() || detours_[static_cast<std::size_t>(Detour::table_full)] != 0) {
    version_ = sender_.version();
    review();
  }
  detour_.start(datagram);
  detour_under_way_ = !detoured_.empty();
}

void XdpFanOut::make_ready(Table& table) {
  const bool v6 = &table == &tables_[1];
  table.call = make_xdp_call(v6, datagram_, v6 ? headers_v6_ : headers_v4_);
  const std::size_t headers = v6 ? kXdpHeadersV6 : kXdpHeadersV4;
  table.packet.resize(headers + datagram_.size());
  std::copy(datagram_.begin(), datagram_.end(), table.packet.begin() + static_cast<std::ptrdiff_t>(headers));
  table.ready = true;
}

bool XdpFanOut::advance(std::size_t most, forward::FanOutResult& result) {
  const auto has_rest = [](const Table& table) { return table.done < table.owners.size(); };
  const auto rest = std::find_if(tables_.begin(), tables_.end(), has_rest);
  if (rest != tables_.end()) {
    const std::size_t left = rest->owners.size() - rest->done;
    send_some(*rest, static_cast<std::uint32_t>(std::clamp<std::size_t>(std::min(most, left), 1, kPiece)), result);
    return std::any_of(tables_.begin(), tables_.end(), has_rest) || detour_under_way_;
  }
  if (detour_under_way_) detour_under_way_ = detour_.advance(std::min(most, detour_.piece()), result);
  return detour_under_way_;
}

void XdpFanOut::send_some(Table& table, std::uint32_t count, forward::FanOutResult& result) {
  if (datagram_.size() > wire::kMaxDatagram) {
    counters_.too_large.add(count);
    result.failed += count;
    table.done += count;
    return;
  }
  if (!table.ready) make_ready(table);
  const std::uint32_t first = table.done % XDP_CHUNK;
  table.call.end = first + count;
  const std::size_t chunk = table.done / XDP_CHUNK;
  std::memcpy(table.call.chunk, table.chunks.data() + chunk,
              ((table.call.end - 1) / XDP_CHUNK + 1) * sizeof table.chunks[0]);
  const XdpProgram::Outcome outcome = sender_.program().run(table.packet, table.call, first);
  // A device that refuses, or was not even given its packets, has changed since it was tried. One that has no room now
  // has not.
  if (outcome.error != 0 || outcome.done > outcome.sent + outcome.dropped) sender_.doubt();
  counters_.sent.add(outcome.sent);
  counters_.dropped.add(outcome.done - std::min(outcome.done, outcome.sent));
  counters_.refused.add(count - outcome.done);
  const std::uint32_t sent = std::min(outcome.sent, count);
  result.sent += sent;
  result.failed += count - sent;
  table.done += count;
}

}  // namespace tiercast::net
