#include "relay/measure/spread.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace tiercast::measure {

Spread spread(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  const double median = values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return {median, values.front(), values.back()};
}

std::string json_members(const char* name, const Spread& s) {
  return fmt::format(R"(,"{0}":{1:.1f},"{0}_min":{2:.1f},"{0}_max":{3:.1f})", name, s.median, s.min, s.max);
}

std::string range_text(const Spread& s) { return fmt::format("{:.1f} .. {:.1f}", s.min, s.max); }

std::int64_t clock_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace tiercast::measure
