// A path that loses, doubles, delays and reorders datagrams, all from one seed, in virtual time.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "relay/base/random.hpp"

namespace tiercast::test {

struct ChannelFaults {
  double lost = 0;
  double doubled = 0;
  Duration delay{10ms};
  Duration jitter{0};  // added to the delay, uniform: more than the sending interval reorders
};

class LossyChannel {
 public:
  LossyChannel(const ChannelFaults& faults, Random& random) : faults_(faults), random_(random) {}

  void send(Bytes datagram, Time now) {
    if (datagram.empty()) return;
    const int copies = happens(faults_.doubled) ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
      if (happens(faults_.lost)) continue;
      Duration late = faults_.delay;
      if (faults_.jitter.count() > 0)
        late += Duration{static_cast<Duration::rep>(random_.below(static_cast<std::uint64_t>(faults_.jitter.count())))};
      under_way_.emplace(now + late, std::vector<std::uint8_t>(datagram.begin(), datagram.end()));
    }
  }
  Time next() const { return under_way_.empty() ? kNever : under_way_.begin()->first; }
  std::optional<std::vector<std::uint8_t>> receive(Time now) {
    if (next() > now) return std::nullopt;
    auto first = under_way_.extract(under_way_.begin());
    return std::move(first.mapped());
  }
  ChannelFaults& faults() { return faults_; }

 private:
  bool happens(double p) { return static_cast<double>(random_.u64() >> 11) * 0x1.0p-53 < p; }
  ChannelFaults faults_;
  Random& random_;
  std::multimap<Time, std::vector<std::uint8_t>> under_way_;
};

}  // namespace tiercast::test
