// A send backend of tests: a table whose sends are a call.
#pragma once

#include "relay/sim/fan_out_table.hpp"

namespace tiercast::test {

using sim::FanOutTable;

}  // namespace tiercast::test
