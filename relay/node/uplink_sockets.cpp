#include "relay/node/uplink_sockets.hpp"

#include <algorithm>
#include <cerrno>

#include "relay/net/resolve.hpp"

namespace tiercast::node {
namespace {
// A parent's whole history at once is a resume of 500 frames: room for it.
constexpr int kReceiveBuffer = 4 << 20;
constexpr const char* kNoRoom = "the io_uring has no room for its socket";

// Without UDP_GRO: a parent's frames come one by one, and of a burst of 16 in segments it would save 0.4 of 0.6 us a
// datagram here, beside the 48 us that each frame's signature takes to verify, for buffers of 64 KiB instead of 2.
net::SocketOptions uplink_options() {
  net::SocketOptions options;
  options.packet_info = false;
  options.stamps = true;
  options.receive_buffer = kReceiveBuffer;
  return options;
}
}  // namespace

UplinkSockets::UplinkSockets(net::Loop& loop, const std::vector<config::Upstream>& parents, Handlers handlers)
    : loop_(loop), handlers_(std::move(handlers)) {
  for (const config::Upstream& parent : parents) append(parent);
}

UplinkSockets::Link& UplinkSockets::append(const config::Upstream& parent) {
  auto link = std::make_unique<Link>();
  link->owner = this;
  link->index = parents_.size();
  link->number = links_++;
  link->name = parent.address;
  link->multicast = parent.multicast;
  parents_.push_back(std::move(link));
  return *parents_.back();
}

void UplinkSockets::add(const config::Upstream& parent) { begin(append(parent)); }

UplinkSockets::~UplinkSockets() {
  for (const auto& link : parents_) {
    if (link->socket) loop_.cancel(link->socket->fd());
    close_multicast(*link);
  }
  if (bell_) loop_.cancel(bell_->fd());
  if (!resolver_) return;
  {
    const std::lock_guard lock{resolver_->mutex};
    resolver_->bell = nullptr;
  }
  resolver_->changed.notify_one();
}

int UplinkSockets::start() {
  auto bell = net::Wake::create();
  if (!bell) return EMFILE;
  bell_ = std::move(*bell);
  if (const int error = bell_->listen(loop_, [this] { on_resolved(); })) return error;
  for (const auto& link : parents_) begin(*link);
  return 0;
}

void UplinkSockets::begin(Link& link) {
  if (const auto address = parse_endpoint(to_string(link.name))) {
    link.candidates = {*address};
    connect(link);
  } else {
    resolve(link);
  }
}

void UplinkSockets::open_up(std::uint16_t edge) { add(handlers_.opened(edge)); }

void UplinkSockets::close_up(std::size_t p) {
  if (parents_[p]->socket) loop_.cancel(parents_[p]->socket->fd());
  close_multicast(*parents_[p]);
  parents_.erase(parents_.begin() + static_cast<std::ptrdiff_t>(p));
  for (std::size_t i = p; i < parents_.size(); ++i) parents_[i]->index = i;
  handlers_.closed(p);
}

void UplinkSockets::connect(Link& link) {
  if (link.socket) loop_.cancel(link.socket->fd());
  link.socket.reset();
  link.address = link.candidates[link.next_candidate++ % link.candidates.size()];
  auto socket = net::UdpSocket::connect(*link.address, uplink_options());
  if (!socket) {
    link.problem = socket.error().text;
    return;
  }
  link.problem.clear();
  link.socket = std::move(*socket);
  if (loop_.receive(link.socket->fd(), link, {.buffers = 512}) != 0) {
    link.problem = kNoRoom;
    link.socket.reset();
    return;
  }
  if (link.multicast) join_multicast(link);
}

// Whoever sends there has the parent's address, unless the configuration names another one.
void UplinkSockets::join_multicast(Link& link) {
  counters_.multicast_joins.add();
  Endpoint source = link.multicast->source.value_or(*link.address);
  source.port = 0;
  const auto failed = [&](const std::string& why) {
    counters_.multicast_failures.add();
    link.multicast_problem = why;
  };
  if (link.receiver && link.source == source) {
    const auto joined = link.receiver->rejoin();
    return joined ? link.multicast_problem.clear() : failed(joined.error().text);
  }
  close_multicast(link);
  auto receiver =
      net::MulticastReceiver::open({link.multicast->group, link.multicast->interface, source, kReceiveBuffer});
  if (!receiver) return failed(receiver.error().text);
  link.receiver.emplace(std::move(*receiver));
  link.source = source;
  if (loop_.receive(link.receiver->fd(), link.multicast_handler, {.buffers = 512}) != 0) {
    link.receiver.reset();
    return failed(kNoRoom);
  }
  link.multicast_problem.clear();
}

void UplinkSockets::close_multicast(Link& link) {
  if (link.receiver) loop_.cancel(link.receiver->fd());
  link.receiver.reset();
}

void UplinkSockets::rejoin_multicast(std::size_t p) {
  if (Link& link = *parents_[p]; link.multicast && link.address) join_multicast(link);
}

void UplinkSockets::refresh(std::size_t p) {
  Link& link = *parents_[p];
  if (!link.candidates.empty() && link.next_candidate % link.candidates.size() != 0) {
    connect(link);
  } else if (link.candidates.size() == 1 && parse_endpoint(link.name.host + ":1")) {
    connect(link);  // numeric
  } else {
    resolve(link);
  }
}

void UplinkSockets::resolve(Link& link) {
  if (link.resolving) return;
  link.resolving = true;
  counters_.resolutions.add();
  if (!resolver_) {
    resolver_ = std::make_shared<Resolver>();
    resolver_->bell = bell_.get();
    std::thread{[resolver = resolver_] { Resolver::run(resolver); }}.detach();
  }
  {
    const std::lock_guard lock{resolver_->mutex};
    resolver_->asked.push_back({link.number, link.name, {}, {}});
  }
  resolver_->changed.notify_one();
}

void UplinkSockets::Resolver::run(const std::shared_ptr<Resolver>& self) {
  std::unique_lock lock{self->mutex};
  while (true) {
    self->changed.wait(lock, [&] { return self->bell == nullptr || !self->asked.empty(); });
    if (self->bell == nullptr) return;
    Resolution resolution = std::move(self->asked.back());
    self->asked.pop_back();
    lock.unlock();
    if (auto addresses = net::resolve(resolution.name)) {
      resolution.addresses = std::move(*addresses);
    } else {
      resolution.problem = addresses.error().text;
    }
    lock.lock();
    if (self->bell == nullptr) return;
    self->answered.push_back(std::move(resolution));
    self->bell->signal();
  }
}

void UplinkSockets::on_resolved() {
  std::vector<Resolution> answered;
  {
    const std::lock_guard lock{resolver_->mutex};
    answered.swap(resolver_->answered);
  }
  for (Resolution& resolution : answered) {
    const auto found = std::find_if(parents_.begin(), parents_.end(),
                                    [&](const auto& link) { return link->number == resolution.link; });
    if (found == parents_.end()) continue;  // closed meanwhile
    Link& link = **found;
    link.resolving = false;
    if (resolution.addresses.empty()) {
      counters_.resolution_failures.add();
      link.problem = resolution.problem;
    } else {
      link.candidates = std::move(resolution.addresses);
      link.next_candidate = 0;
      connect(link);
    }
  }
}

void UplinkSockets::send_up(std::size_t parent, Bytes datagram) {
  Link& link = *parents_[parent];
  if (!link.socket) return counters_.drop_no_socket.add();
  int error = link.socket->send(datagram);
  if (error == ECONNREFUSED) {
    handlers_.unreachable(parent);
    error = link.socket->send(datagram);  // that was an earlier one's answer
  }
  (error == 0 ? counters_.datagrams : counters_.drop_send).add();
}

void UplinkSockets::Link::on_datagram(MutableBytes datagram, const Endpoint&, const LocalAddress&) {
  owner->handlers_.datagram(index, datagram);
}

void UplinkSockets::MulticastHandler::on_datagram(MutableBytes datagram, const Endpoint&, const LocalAddress&) {
  link.owner->counters_.multicast_datagrams.add();
  link.owner->handlers_.multicast(link.index, datagram);
}

// Its socket is looked at again when nothing comes by it.
void UplinkSockets::MulticastHandler::on_error(int) {
  UplinkSockets& owner = *link.owner;
  if (!link.receiver || owner.loop_.receives(link.receiver->fd())) return;
  owner.close_multicast(link);
}

void UplinkSockets::Link::on_error(int error) {
  if (error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH) owner->handlers_.unreachable(index);
}

}  // namespace tiercast::node
