#include "relay/measure/seal_bench.hpp"

#include <fmt/format.h>

#include <functional>
#include <memory>
#include <utility>

#include "crypto/random.hpp"
#include "relay/publish/publisher.hpp"

namespace tiercast::measure {
namespace {

constexpr GroupId kGroup{1};
constexpr SourceId kSource{1};
constexpr Epoch kEpoch{1};
constexpr Duration kFrame = 20ms;  // of the clock by which attestations are due; none passes

/// One origin's keys and what it does with them, frame after frame.
class Origin {
 public:
  explicit Origin(std::uint32_t payload)
      : opus_(payload, std::uint8_t{0x20}),
        seed_(crypto::generate_private_key(random_)),
        signer_(seed_),
        attester_(signer_),
        sealer_(crypto::FrameKey::derive({}, value(), kGroup, kSource, kEpoch), kGroup, kSource, kEpoch, Sequence{0}),
        publisher_(kGroup, kSource, seed_, Sequence{0}) {
    random_.fill(link_key_.bytes());
    publisher_.use_epoch(publisher_.sign({.group = kGroup, .source = kSource, .epoch = kEpoch, .value = value()}));
    (void)seal();  // what is signed and hashed is a sealed frame
  }

  bool frame() {
    tick();
    std::array<std::uint8_t, wire::kMaxDatagram> out;
    const auto length = publisher_.publish({.sequence = sequence_, .opus = opus_}, out, now_);
    if (!length) return false;
    for (auto attestation = publisher_.take_attestation(now_); attestation;
         attestation = publisher_.take_attestation(now_))
      keep(crypto::link_mac(link_key_.view(), *attestation));
    const Bytes all{out};
    keep(crypto::link_mac(link_key_.view(), all.first(*length), all.subspan(*length, wire::kSignature)));
    return true;
  }
  bool seal() {
    tick();
    const auto length = sealer_.seal(sequence_, 0, opus_, sealed_);
    length_ = length.value_or(0);
    return length.has_value();
  }
  bool sign() {
    const auto signature = signer_.sign_frame(datagram());
    keep(signature);
    return true;
  }
  bool attest() {
    tick();
    attester_.add({wire::Type::frame, 0, kSource, kGroup, kEpoch, sequence_}, datagram(), now_);
    while (attester_.take(now_)) {
    }
    return true;
  }
  bool link_mac() {
    keep(crypto::link_mac(link_key_.view(), datagram(), signature_));
    return true;
  }

 private:
  static wire::EpochValue value() {
    wire::EpochValue out;
    out.fill(7);
    return out;
  }
  void tick() {
    ++sequence_.value;
    now_ += kFrame;
  }
  Bytes datagram() const { return Bytes{sealed_}.first(length_); }
  void keep(Bytes made) { kept_ = made[0]; }  // so that it is made

  crypto::SystemRandom random_;
  std::vector<std::uint8_t> opus_;
  crypto::PrivateKey seed_;
  crypto::Secret<32> link_key_;
  crypto::SourceSigner signer_;
  publish::Attester attester_;
  crypto::FrameSealer sealer_;
  publish::Publisher publisher_;
  std::array<std::uint8_t, wire::kMaxSealed> sealed_{};
  std::array<std::uint8_t, wire::kSignature> signature_{};
  std::size_t length_ = 0;
  Sequence sequence_{0};
  Time now_{};
  volatile std::uint8_t kept_ = 0;
};

struct Part {
  const char* name;
  bool (Origin::*once)();
  std::vector<double> cpu = {};
};

}  // namespace

tl::expected<std::vector<SealMeasurement>, net::Error> measure_seal(const SealBench& bench) {
  if (bench.frames == 0 || bench.rounds == 0)
    return tl::unexpected(net::Error{"frames and rounds must be at least 1", 64});
  if (bench.payload > wire::kMaxOpus)
    return tl::unexpected(net::Error{fmt::format("payload = {}: use 0 to {}", bench.payload, wire::kMaxOpus), 64});
  Origin origin{bench.payload};
  std::array<Part, 5> parts{Part{"frame", &Origin::frame}, Part{"seal", &Origin::seal}, Part{"sign", &Origin::sign},
                            Part{"attest", &Origin::attest}, Part{"link_mac", &Origin::link_mac}};
  for (std::uint32_t round = 0; round < bench.rounds; ++round) {
    for (std::size_t i = 0; i < parts.size(); ++i) {  // whoever goes first changes from round to round
      Part& part = parts[(i + round) % parts.size()];
      const std::int64_t before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
      for (std::uint32_t f = 0; f < bench.frames; ++f)
        if (!(origin.*part.once)()) return tl::unexpected(net::Error{"a frame was refused", 65});
      part.cpu.push_back(static_cast<double>(clock_ns(CLOCK_THREAD_CPUTIME_ID) - before) / bench.frames);
    }
  }
  std::vector<SealMeasurement> out;
  for (const Part& part : parts)
    out.push_back({part.name, bench.payload, std::uint64_t{bench.frames} * bench.rounds, spread(part.cpu)});
  return out;
}

std::string to_json(const SealMeasurement& m) {
  return fmt::format(R"({{"part":"{}","payload":{},"frames":{})", m.part, m.payload, m.frames) +
         json_members("cpu_ns_per_frame", m.cpu_ns_per_frame) +
         fmt::format(R"(,"frames_per_second":{:.0f}}})", m.frames_per_second());
}

std::string to_text(const std::vector<SealMeasurement>& measurements) {
  std::string out = fmt::format("{:<10} {:>8} {:>10} {:>10} {:>20} {:>18}\n", "part", "payload", "frames", "CPU ns",
                                "min .. max", "frames/s and core");
  for (const SealMeasurement& m : measurements)
    out += fmt::format("{:<10} {:>8} {:>10} {:>10.1f} {:>20} {:>18.0f}\n", m.part, m.payload, m.frames,
                       m.cpu_ns_per_frame.median, range_text(m.cpu_ns_per_frame), m.frames_per_second());
  return out;
}

}  // namespace tiercast::measure
