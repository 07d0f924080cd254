// What one frame costs at its origin, by the classes that an origin seals with. The body of `tiercast bench seal`.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "relay/measure/spread.hpp"
#include "relay/net/error.hpp"

namespace tiercast::measure {

struct SealBench {
  std::uint32_t payload = 60;    // bytes of an Opus packet, 0 to wire::kMaxOpus
  std::uint32_t frames = 10000;  // per round, of each part
  std::uint32_t rounds = 5;      // of each part, taking turns
};

/// A part of what is done to a frame, or all of it.
struct SealMeasurement {
  std::string part;  // frame: all, as an origin does it for one relay below it; seal, sign, attest, link_mac: by itself
  std::uint32_t payload = 0;
  std::uint64_t frames = 0;  // in all rounds
  Spread cpu_ns_per_frame;
  /// What one core does.
  double frames_per_second() const { return 1e9 / cpu_ns_per_frame.median; }
};

/// `frame` first, then its parts. Exit status 64 for a request that cannot be.
tl::expected<std::vector<SealMeasurement>, net::Error> measure_seal(const SealBench& bench);

/// One JSON object, one line.
std::string to_json(const SealMeasurement& measurement);
/// A table for people.
std::string to_text(const std::vector<SealMeasurement>& measurements);

}  // namespace tiercast::measure
