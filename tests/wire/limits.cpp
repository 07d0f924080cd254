// crypto/PROTOCOL.md's table of limits says what the code does. Reads the file from the project's root, where tests
// run.
#include "relay/wire/limits.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <map>
#include <string>

namespace tiercast::wire::limits_test {
namespace {

std::string bytes(std::size_t n) { return std::to_string(n) + " B"; }
template <class N>
std::string number(N n) {
  return std::to_string(n);
}
std::string ms(Duration d) {
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(d).count()) + " ms";
}
std::string percent(double share) { return std::to_string(static_cast<int>(share * 100 + 0.5)) + " %"; }

#define ROW(name, form) \
  { #name, form(name) }

std::map<std::string, std::string> coded() {
  return {ROW(kVersion, number),
          ROW(kMaxDatagram, bytes),
          ROW(kHeader, bytes),
          ROW(kTag, bytes),
          ROW(kMaxOpus, bytes),
          ROW(kSignature, bytes),
          ROW(kLinkMac, bytes),
          ROW(kMaxSealed, bytes),
          ROW(kHello, bytes),
          ROW(kRetry, bytes),
          ROW(kJoinClear, bytes),
          ROW(kAcceptClear, bytes),
          ROW(kControlHeader, bytes),
          ROW(kMinControl, bytes),
          ROW(kToken, bytes),
          ROW(kAttestHash, bytes),
          ROW(kParityHeader, bytes),
          ROW(kMaxSymbol, bytes),
          ROW(kMaxAttested, number),
          ROW(kMaxProven, number),
          ROW(kMaxPath, number),
          ROW(kMaxSources, number),
          ROW(kMaxGroups, number),
          ROW(kMaxNackRanges, number),
          ROW(kMaxParityData, number),
          ROW(kMaxParityRepair, number),
          ROW(kMaxHeldEpochs, number),
          ROW(kUnknownEpochs, number),
          ROW(kFramesAwaitingEpoch, number),
          ROW(kReplayWindow, number),
          ROW(kMaxDifficulty, number),
          ROW(kCookieLife, ms),
          ROW(kAcceptReplay, ms),
          ROW(kProvisionalLease, ms),
          ROW(kHandshakeFirstResend, ms),
          ROW(kHandshakeMaxResend, ms),
          ROW(kHandshakeJitter, percent),
          {"kHandshakeLife", std::to_string(kHandshakeLife / 1h) + " h"},
          ROW(kLeaseLife, ms),
          ROW(kKeepalive, ms),
          ROW(kKeepaliveResend, ms),
          ROW(kTokenUnit, ms),
          ROW(kMovedTokenEvery, ms),
          ROW(kHistory, ms),
          ROW(kHoleHold, ms),
          ROW(kSilenceFloor, ms),
          ROW(kSilenceIntervals, number),
          ROW(kIdleIntervals, number),
          ROW(kIdleDelaysFailover, ms),
          ROW(kAttestEvery, ms),
          ROW(kAttestFrames, number),
          ROW(kUnattested, ms),
          ROW(kAheadOfAttested, ms),
          ROW(kPlayout, ms),
          ROW(kStrictPlayout, ms),
          ROW(kNackMargin, ms),
          ROW(kNackRounds, number),
          ROW(kNackLate, ms),
          ROW(kNackPatience, ms),
          ROW(kTallyEvery, ms),
          ROW(kTallyLife, ms),
          ROW(kGroupInfoEvery, ms),
          ROW(kSourceHold, ms),
          ROW(kSourceMaxHold, ms),
          ROW(kSourceCalm, ms),
          ROW(kMulticastRow, number),
          ROW(kMulticastWindow, number),
          ROW(kMulticastLoss, percent),
          ROW(kMulticastHold, ms),
          ROW(kMulticastMaxHold, ms),
          ROW(kMulticastTrial, ms),
          ROW(kMulticastCalm, ms),
          ROW(kMulticastRejoin, ms),
          ROW(kResendBurst, number),
          ROW(kResendPerSequence, number),
          ROW(kResendRefill, percent),
          ROW(kResumeFrames, number),
          {"kResendPace", std::to_string(static_cast<int>(kResendPace))},
          ROW(kNodeResume, number),
          ROW(kNodeResendShare, percent),
          ROW(kNodeResendPerRelay, number),
          ROW(kEpochsAhead, number),
          ROW(kEpochAge, ms),
          ROW(kEpochAskFirst, ms),
          ROW(kEpochAskEvery, ms),
          ROW(kEpochAskCalm, ms)};
}

#undef ROW

TEST_CASE("PROTOCOL.md's table of limits has every value as it is in the code, and no other") {
  std::ifstream file{"crypto/PROTOCOL.md"};
  REQUIRE(file);
  std::map<std::string, std::string> written;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("| k")) continue;
    const std::size_t name_end = line.find(" |", 2);
    const std::size_t value_end = line.find(" |", name_end + 2);
    REQUIRE(value_end != std::string::npos);
    written[line.substr(2, name_end - 2)] = line.substr(name_end + 3, value_end - name_end - 3);
  }
  const auto expected = coded();
  for (const auto& [name, value] : expected) {
    CAPTURE(name);
    CHECK(written[name] == value);
  }
  CHECK(written.size() == expected.size());
}

}  // namespace
}  // namespace tiercast::wire::limits_test
