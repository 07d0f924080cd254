// What several rounds of one measurement come to, and how it is written down.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <vector>

namespace tiercast::measure {

struct Spread {
  double median = 0;
  double min = 0;
  double max = 0;
};
/// Of at least one value.
Spread spread(std::vector<double> values);

/// The members NAME, NAME_min and NAME_max of a JSON object, behind others.
std::string json_members(const char* name, const Spread& spread);
/// "MIN .. MAX", for people.
std::string range_text(const Spread& spread);

std::int64_t clock_ns(clockid_t clock);

}  // namespace tiercast::measure
