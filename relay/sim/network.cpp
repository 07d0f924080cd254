#include "relay/sim/network.hpp"

namespace tiercast::sim {

LinkModel LinkModel::bursty(double share, double mean, Duration delay) {
  LinkModel model;
  model.delay = delay;
  model.burst_ends = 1 / mean;
  // In the long run share = begins / (begins + ends).
  model.burst_begins = share * model.burst_ends / (1 - share);
  return model;
}

const LinkModel& Network::model(Host from, Host to) const {
  const auto link = links_.find(key(from, to));
  return link == links_.end() ? base : link->second.model;
}

bool Network::reachable(Host from, Host to) const {
  if (sides_.empty()) return true;
  const auto side = [this](Host host) {
    const auto at = sides_.find(host.number());
    return at == sides_.end() ? 0U : at->second;
  };
  return side(from) == side(to);
}

bool Network::lost(Link* link, const LinkModel& model) {
  if (model.burst_begins > 0) {
    bool& bad = link->bad;
    bad = bad ? !random_.happens(model.burst_ends) : random_.happens(model.burst_begins);
    if (bad && random_.happens(model.burst_loss)) return true;
  }
  return random_.happens(model.loss);
}

Network::Arrival Network::arrival(const LinkModel& model) {
  Arrival arrival{model.delay, random_.happens(model.corrupted)};
  if (model.jitter.count() > 0) arrival.after += random_.up_to(model.jitter);
  if (random_.happens(model.late)) arrival.after += model.late_by;
  return arrival;
}

Network::Arrivals Network::carry(Host from, Host to, std::size_t size) {
  Arrivals arrivals;
  if (!reachable(from, to)) return arrivals;
  const auto found = links_.empty() ? links_.end() : links_.find(key(from, to));
  Link* link = found == links_.end() ? nullptr : &found->second;
  Link of_base;
  bool* bad = nullptr;
  if (link == nullptr && base.burst_begins > 0) {
    bad = &bad_[key(from, to)];
    of_base = {base, *bad};
    link = &of_base;
  }
  const LinkModel& model = link != nullptr ? link->model : base;
  if (model.cut || size > model.mtu) return arrivals;
  const bool gone = lost(link, model);
  if (bad != nullptr) *bad = of_base.bad;
  if (gone) return arrivals;
  arrivals.push_back(arrival(model));
  if (random_.happens(model.duplicated)) arrivals.push_back(arrival(model));
  return arrivals;
}

void Network::corrupt(MutableBytes datagram) {
  const std::uint64_t bits = 1 + random_.below(4);
  for (std::uint64_t i = 0; i < bits; ++i)
    datagram[random_.below(datagram.size())] ^= static_cast<std::uint8_t>(1U << random_.below(8));
}

}  // namespace tiercast::sim
