#include "relay/receive/reader_pace.hpp"

#include <algorithm>

namespace tiercast::receive {

Duration Prefill::more(Duration backlog, Time now) {
  const Duration room = kMost + (now - began_) - given_;
  const Duration wanted = std::clamp(kReserve - backlog, Duration{0}, std::max(room, Duration{0}));
  given_ += wanted;
  if (room <= wanted) done_ = true;
  if (now - window_began_ < kWindow) return wanted;
  const bool reads = given_ > kReserve;
  const auto pace = static_cast<double>((given_ - given_before_).count()) / static_cast<double>(kWindow.count());
  if (reads ? pace <= kPaced : now - began_ >= kPatience) done_ = true;
  window_began_ = now;
  given_before_ = given_;
  return wanted;
}

void ReaderPace::on_backlog(Duration backlog, Time now) {
  if (!window_began_) window_began_ = now;
  most_ = std::max(most_, backlog);
  if (now - *window_began_ < kWindow) return;
  windows_[count_++ % kWindows] = most_;
  window_began_ = now;
  most_ = Duration{0};
  if (count_ >= kWindows) judge();
}

void ReaderPace::judge() {
  auto sorted = windows_;
  std::sort(sorted.begin(), sorted.end());
  const Duration waits = sorted[kWindows / 2];
  pace_ = 0;
  if (waits >= Prefill::kReserve / 2) {
    paced_ = true;
    ahead_ = Duration{0};
  }
  if (!paced_ || waits > kAsleep) return;
  const Duration error = waits - Prefill::kReserve;
  const Duration off = error < Duration{0} ? -error : error;
  if (off > kBand) correcting_ = true;
  if (off < 2ms) correcting_ = false;
  if (!correcting_) return;
  pace_ = std::clamp(static_cast<double>(error.count()) / static_cast<double>(Duration{kCorrectWithin}.count()), -kMost,
                     kMost);
  if (error > -Prefill::kReserve / 2) return;
  pace_ = -kMost;
  ahead_ += Duration{static_cast<Duration::rep>(kMost * static_cast<double>(Duration{kWindow}.count()))};
  if (ahead_ <= kMostAhead) return;
  paced_ = correcting_ = false;
  pace_ = 0;
}

}  // namespace tiercast::receive
