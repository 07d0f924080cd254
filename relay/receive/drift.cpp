#include "relay/receive/drift.hpp"

#include <algorithm>
#include <cmath>

namespace tiercast::receive {
namespace {

double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace

void Drift::restart() { count_ = 0; }

void Drift::on_expected(Duration media, Time expected, Time now) {
  if (count_ != 0 && now < next_at_) return;
  const Duration offset = expected.time_since_epoch() - media;
  if (count_ != 0) {
    const Point& last = points_[(count_ - 1) % kPoints];
    if (std::abs(seconds(offset - first_offset_) - last.offset) > seconds(kStep)) restart();
  }
  if (count_ == 0) {
    first_at_ = now;
    first_offset_ = offset;
  }
  next_at_ = now + kEvery;
  points_[count_++ % kPoints] = {seconds(now - first_at_), seconds(offset - first_offset_)};
  if (count_ >= kEnough) fit();
}

void Drift::fit() {
  const std::size_t n = std::min(count_, kPoints);
  double at = 0, offset = 0;
  for (std::size_t i = 0; i < n; ++i) {
    at += points_[i].at / static_cast<double>(n);
    offset += points_[i].offset / static_cast<double>(n);
  }
  double both = 0, square = 0;
  for (std::size_t i = 0; i < n; ++i) {
    both += (points_[i].at - at) * (points_[i].offset - offset);
    square += (points_[i].at - at) * (points_[i].at - at);
  }
  if (square > 0) ppm_ = -1e6 * both / square;  // who comes later and later is slow
}

}  // namespace tiercast::receive
