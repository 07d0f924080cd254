// Every limit and timer of the protocol, named with its unit and its reason. crypto/PROTOCOL.md has the same table.
#pragma once

#include <algorithm>

#include "relay/base/types.hpp"

namespace tiercast::wire {

inline constexpr std::uint8_t kVersion = 1;

// --- sizes, bytes ---
inline constexpr std::size_t kMaxDatagram = 1232;  // IPv6's least MTU 1280 - 40 - 8: never a fragment
inline constexpr std::size_t kHeader = 16;         // FRAME, PARITY, ATTEST, IDLE
inline constexpr std::size_t kTag = 16;            // Poly1305
inline constexpr std::size_t kMaxOpus = 1080;      // leaves room for header, tag and both trailers
inline constexpr std::size_t kSignature = 64;      // Ed25519
inline constexpr std::size_t kLinkMac = 16;        // keyed BLAKE2b
inline constexpr std::size_t kMaxSealed = kHeader + kMaxOpus + kTag;  // FRAME without trailers
static_assert(kMaxSealed + kSignature + kLinkMac <= kMaxDatagram);
inline constexpr std::size_t kPublicKey = 32;
inline constexpr std::size_t kEpochValue = 32;
inline constexpr std::size_t kNonce = 8;
inline constexpr std::size_t kCookie = 16;
inline constexpr std::size_t kSolution = 8;
inline constexpr std::size_t kToken = 8;
inline constexpr std::size_t kHello = 64;  // larger than RETRY: nothing to amplify
inline constexpr std::size_t kRetry = 35;
inline constexpr std::size_t kJoinClear = 43;    // JOIN before its Noise message
inline constexpr std::size_t kAcceptClear = 10;  // ACCEPT before its Noise message
inline constexpr std::size_t kControlHeader = 18;
inline constexpr std::size_t kMinControl = kControlHeader + kTag;
inline constexpr std::size_t kAttestHash = 16;   // BLAKE2b-128 of one FRAME datagram
inline constexpr std::size_t kMaxAttested = 64;  // frames an ATTEST covers
inline constexpr std::size_t kMaxAttest = kHeader + 1 + kMaxAttested * kAttestHash + kSignature;
static_assert(kMaxAttest + kLinkMac <= kMaxDatagram);
inline constexpr std::size_t kMaxProven = 18;  // frames a PROOF covers
inline constexpr std::size_t kMaxProof = kHeader + 1 + kMaxProven * kSignature;
static_assert(kMaxProof + kLinkMac <= kMaxDatagram);
inline constexpr std::size_t kParityHeader = kHeader + 3;  // k, r, index
inline constexpr std::size_t kMaxSymbol = 2 + kMaxSealed;  // of PARITY: a FRAME with its length before it
static_assert(kParityHeader + kMaxSymbol + kLinkMac <= kMaxDatagram);

// --- counts ---
inline constexpr std::size_t kMaxPath = 8;      // node ids in an acknowledgement: the tree's greatest depth
inline constexpr std::size_t kMaxSources = 2;   // a primary and a standby per group
inline constexpr std::size_t kMaxGroups = 256;  // of one node
inline constexpr std::size_t kMaxNackRanges = 32;
inline constexpr std::size_t kMaxHeldEpochs = 64;  // named by one keepalive: half a datagram
inline constexpr std::size_t kUnknownEpochs = 2;   // kept track of at most
inline constexpr std::size_t kFramesAwaitingEpoch = 64;
inline constexpr std::size_t kMaxParityData = 32;    // frames of a block: later ones come too late to repair it
inline constexpr std::size_t kMaxParityRepair = 16;  // PARITYs of a block
inline constexpr std::size_t kReplayWindow = 64;     // CONTROL counters
inline constexpr std::uint8_t kMaxDifficulty = 24;   // a client refuses more (2^24 hashes: seconds)

// --- joining ---
inline constexpr Duration kCookieLife = 10s;       // from issued + wait
inline constexpr Duration kAcceptReplay = 3s;      // an equal JOIN gets the identical ACCEPT
inline constexpr Duration kProvisionalLease = 3s;  // until the first token is echoed
inline constexpr Duration kHandshakeFirstResend = 200ms;
inline constexpr Duration kHandshakeMaxResend = 3200ms;
inline constexpr double kHandshakeJitter = 0.25;
inline constexpr Duration kHandshakeLife = 24h;  // a new handshake within

// --- leases ---
inline constexpr Duration kLeaseLife = 15s;  // from the issue of the last token echoed
inline constexpr Duration kKeepalive = 5s;
inline constexpr Duration kKeepaliveResend = 500ms;
inline constexpr Duration kTokenUnit = 100ms;     // clock step inside tokens and cookies
inline constexpr Duration kMovedTokenEvery = 1s;  // to an address that has echoed none, per lease

// --- frames ---
inline constexpr Duration kHistory = 10s;
inline constexpr Duration kHoleHold = 60ms;      // an origin waits so long for a missing RTP packet
inline constexpr Duration kSilenceFloor = 60ms;  // silence = max(3 intervals, this)
inline constexpr int kSilenceIntervals = 3;
constexpr Duration silence(Duration frame) { return std::max<Duration>(kSilenceIntervals * frame, kSilenceFloor); }
inline constexpr int kIdleIntervals = 2;             // a node without input sends IDLE every two intervals
inline constexpr Duration kIdleDelaysFailover = 1s;  // at most
inline constexpr Duration kAttestEvery = 500ms;
inline constexpr std::size_t kAttestFrames = 25;
inline constexpr Duration kUnattested = 2s;        // a parent with frames but no attestation counts as dead
inline constexpr Duration kAheadOfAttested = 3s;   // sequences a listener takes beyond the newest attested
inline constexpr Duration kPlayout = 300ms;        // a listener's default playout delay
inline constexpr Duration kStrictPlayout = 800ms;  // the same in strict mode
inline constexpr Duration kNackMargin = 10ms;      // asked again every round trip + this
inline constexpr int kNackRounds = 4;              // at least, within kPlayout
inline constexpr Duration kNackLate = 200ms;    // asked again, after that: a relay's history and recordings want it …
inline constexpr Duration kNackPatience = 5s;   // … up to here
inline constexpr Duration kTallyEvery = 1s;     // up relay links
inline constexpr Duration kTallyLife = 3500ms;  // said again meanwhile, or the child's subtree counts elsewhere
inline constexpr Duration kGroupInfoEvery = 1s;  // down relay links

// --- two sources ---
inline constexpr Duration kSourceHold = 5s;       // the primary is good for so long before it is taken back; doubles
inline constexpr Duration kSourceMaxHold = 300s;  // up to here
inline constexpr Duration kSourceCalm = 60s;      // a failure so soon after it was taken back doubles the wait

// --- IP multicast ---
inline constexpr unsigned kMulticastRow = 10;       // frames that came in a row, one missing at most: it works
inline constexpr unsigned kMulticastWindow = 64;    // sequences that its loss is told from
inline constexpr double kMulticastLoss = 0.20;      // of the window: more for kPlayout, and unicast is better
inline constexpr Duration kMulticastHold = 5s;      // by unicast after it has failed; doubles
inline constexpr Duration kMulticastMaxHold = 60s;  // up to here
inline constexpr Duration kMulticastTrial = 30s;    // a failure so soon after changing over doubles the wait
inline constexpr Duration kMulticastCalm = 60s;     // without failure: the wait is kMulticastHold again
inline constexpr Duration kMulticastRejoin = 10s;   // nothing heard: join the group anew

// --- resending budgets ---
inline constexpr std::uint32_t kResendBurst = 64;         // frames per lease
inline constexpr std::uint32_t kResendPerSequence = 6;    // per lease, of the last kResendBurst; a burst takes several
inline constexpr double kResendRefill = 0.25;             // of the stream's rate
inline constexpr double kResendPace = 4.0;                // × real time
inline constexpr std::uint32_t kResumeFrames = 16;        // of a stream that is taken up, beyond all budgets
inline constexpr std::uint32_t kNodeResume = 10'000;      // frames a second, of all resumes
inline constexpr double kNodeResendShare = 0.10;          // of the node's fan-out rate
inline constexpr std::uint32_t kNodeResendPerRelay = 50;  // frames per second and relay lease

// --- epochs ---
inline constexpr std::size_t kEpochsAhead = 2;     // announced before use
inline constexpr Duration kEpochAge = 30s;         // known below for so long before use
inline constexpr Duration kEpochAskFirst = 100ms;  // asked again so long after the first question; doubles
inline constexpr Duration kEpochAskEvery = 2s;     // up to here
inline constexpr Duration kEpochAskCalm = 10s;     // not asked for so long: the first question's wait again

}  // namespace tiercast::wire
