#include "relay/forward/parity.hpp"

#include <doctest/doctest.h>

#include <map>

#include "tests/forward/signed_frames.hpp"

namespace tiercast::parity_test {

using namespace tiercast::forward;

namespace {

using test::Datagram;

struct Edge {
  explicit Edge(ParityShape shape) : encoder(shape) {}
  /// It stands in history; what PARITY goes out behind it.
  Datagram store(const Datagram& frame) {
    const auto header = *wire::parse_header(test::view(frame));
    const auto slot = history.claim_frame(header.sequence);
    REQUIRE(slot);
    std::copy(frame.begin(), frame.end(), slot->begin());
    history.publish_frame(header.sequence, frame.size());
    encoder.on_frame(history, header.sequence);
    const Bytes parity = encoder.take();
    return {parity.begin(), parity.end()};
  }
  History history{500};
  ParityEncoder encoder;
};

/// A stream of frames of different lengths, and its parity.
struct Stream {
  Stream(ParityShape shape, std::uint64_t first, std::uint64_t count, std::uint64_t seed) : edge(shape) {
    test::SeededRandom random{seed};
    test::SigningSource source{1, seed};
    for (std::uint64_t s = first; s < first + count; ++s) {
      frames[s] = source.frame(s, 0, random.below(5) == 0 ? 0 : random.below(wire::kMaxOpus + 1));
      if (Datagram parity = edge.store(frames[s]); !parity.empty()) parities.push_back(std::move(parity));
    }
  }
  Edge edge;
  std::map<std::uint64_t, Datagram> frames;
  std::vector<Datagram> parities;
};

void give(ParityDecoder& decoder, std::uint64_t sequence, const Datagram& frame) {
  decoder.on_frame(Sequence{sequence}, test::view(frame));
}

std::map<std::uint64_t, Datagram> rebuilt(ParityDecoder& decoder) {
  std::map<std::uint64_t, Datagram> out;
  for (Bytes frame = decoder.next(); !frame.empty(); frame = decoder.next())
    out[wire::parse_header(frame)->sequence.value] = Datagram(frame.begin(), frame.end());
  return out;
}

/// As a first PARITY starts it.
void wake(ParityDecoder& decoder, const Stream& stream) {
  const auto& [sequence, frame] = *stream.frames.begin();
  give(decoder, sequence, frame);
  decoder.on_parity(test::view(stream.parities.front()));
  (void)rebuilt(decoder);
}

}  // namespace

TEST_CASE("any r frames of a block are rebuilt from any r others, whatever their lengths, in every shape") {
  test::SeededRandom random{1};
  for (const ParityShape shape : {ParityShape{1, 1}, {2, 1}, {2, 2}, {10, 2}, {10, 10}, {16, 16}, {32, 16}, {31, 7}}) {
    CAPTURE(shape.data);
    CAPTURE(shape.repair);
    for (int round = 0; round < 20; ++round) {
      const std::uint64_t first = std::uint64_t{shape.data} * (1000 + static_cast<std::uint64_t>(round));
      Stream stream{shape, first, 2U * shape.data + shape.repair, random.u64()};
      ParityDecoder decoder{GroupId{7}};
      wake(decoder, stream);
      // Of the second block's frames and parities as many are lost as there are parities.
      std::vector<bool> lost(shape.data + shape.repair);
      for (unsigned n = 0; n < shape.repair;) {
        const auto at = random.below(lost.size());
        if (!lost[at]) ++n;
        lost[at] = true;
      }
      std::map<std::uint64_t, Datagram> expected;
      for (unsigned i = 0; i < shape.data; ++i) {
        const std::uint64_t s = first + shape.data + i;
        lost[i] ? (void)expected.emplace(s, stream.frames[s]) : give(decoder, s, stream.frames[s]);
      }
      std::map<std::uint64_t, Datagram> got;
      for (unsigned i = 0; i < shape.repair; ++i) {
        if (lost[shape.data + i]) continue;
        const Datagram& parity = stream.parities[shape.repair + i];
        CHECK(parity.size() <= wire::kMaxDatagram);
        decoder.on_parity(test::view(parity));
        got.merge(rebuilt(decoder));
      }
      CHECK(got == expected);
    }
  }
}

TEST_CASE("a block is worth what of it comes, in any order: late frames and parity that comes twice too") {
  Stream stream{{4, 2}, 4000, 12, 3};
  ParityDecoder decoder{GroupId{7}};
  wake(decoder, stream);
  give(decoder, 4004, stream.frames[4004]);
  decoder.on_parity(test::view(stream.parities[2]));
  decoder.on_parity(test::view(stream.parities[2]));
  CHECK(decoder.counters().drop_duplicate.get() == 1);
  CHECK(rebuilt(decoder).empty());
  give(decoder, 4006, stream.frames[4006]);
  CHECK(rebuilt(decoder).empty());  // two are missing, one parity is here
  give(decoder, 4007, stream.frames[4007]);
  const auto got = rebuilt(decoder);
  REQUIRE(got.size() == 1);
  CHECK(got.at(4005) == stream.frames[4005]);
}

TEST_CASE("two edges make the same parity, and what one lacks for good has none") {
  Stream a{{5, 2}, 1000, 20, 9};
  Edge late{{5, 2}};
  std::vector<Datagram> parities;
  std::vector<std::uint64_t> order;
  for (std::uint64_t s = 1000; s < 1020; ++s) order.push_back(s);
  std::swap(order[2], order[7]);           // repaired late
  std::erase(order, std::uint64_t{1011});  // never
  for (const std::uint64_t s : order)
    if (Datagram parity = late.store(a.frames[s]); !parity.empty()) parities.push_back(std::move(parity));
  REQUIRE(parities.size() >= 4);
  for (const Datagram& parity : parities) {
    CHECK(std::find(a.parities.begin(), a.parities.end(), parity) != a.parities.end());
    CHECK(wire::parse_parity(test::view(parity))->header.sequence != Sequence{1010});
  }
}

TEST_CASE("another epoch, source or flag within a block changes nothing") {
  Edge edge{{4, 1}};
  test::SigningSource one{1, 1}, two{2, 2};
  std::map<std::uint64_t, Datagram> frames;
  for (std::uint64_t s = 400; s < 408; ++s) {
    frames[s] = (s < 406 ? one : two).frame(s, s == 406 ? wire::kFlagDiscontinuity : 0);
    frames[s][9] = s < 405 ? 1 : 2;  // of the epoch
  }
  std::vector<Datagram> parities;
  for (const auto& [s, frame] : frames)
    if (Datagram parity = edge.store(frame); !parity.empty()) parities.push_back(std::move(parity));
  REQUIRE(parities.size() == 2);
  ParityDecoder decoder{GroupId{7}};
  for (const auto& [s, frame] : frames)
    if (s != 401) give(decoder, s, frame);
  decoder.on_parity(test::view(parities[1]));  // from here on it keeps what comes
  give(decoder, 404, frames[404]);
  for (const std::uint64_t s : {405, 407}) give(decoder, s, frames[s]);
  const auto got = rebuilt(decoder);
  REQUIRE(got.size() == 1);
  CHECK(got.at(406) == frames[406]);
}

TEST_CASE("PARITY as PROTOCOL.md has it, byte by byte, without ISA-L") {
  const auto times = [](unsigned a, unsigned b) {
    unsigned product = 0;
    for (; b != 0; b >>= 1, a = a << 1 ^ ((a & 0x80) != 0 ? 0x11dU : 0U))
      if ((b & 1) != 0) product ^= a;
    return product;
  };
  const auto inverse = [&](unsigned a) {
    unsigned b = 1;
    while (times(a, b) != 1) ++b;
    return b;
  };
  Stream stream{{3, 2}, 300, 5, 4};
  REQUIRE(stream.parities.size() == 2);
  std::size_t longest = 0;
  for (std::uint64_t s = 300; s < 303; ++s) longest = std::max(longest, stream.frames[s].size());
  for (unsigned i = 0; i < 2; ++i) {
    Datagram expected(stream.frames[300].begin(), stream.frames[300].begin() + wire::kHeader);
    expected[0] = 0x21;
    expected.insert(expected.end(), {3, 2, static_cast<std::uint8_t>(i)});
    for (std::size_t at = 0; at < 2 + longest; ++at) {
      unsigned sum = 0;
      for (unsigned j = 0; j < 3; ++j) {
        const Datagram& frame = stream.frames[300 + j];
        const unsigned byte = at == 0                 ? static_cast<unsigned>(frame.size() >> 8)
                              : at == 1               ? static_cast<unsigned>(frame.size() & 0xff)
                              : at - 2 < frame.size() ? frame[at - 2]
                                                      : 0U;
        sum ^= times(inverse((3 + i) ^ j), byte);
      }
      expected.push_back(static_cast<std::uint8_t>(sum));
    }
    CHECK(stream.parities[i] == expected);
  }
}

TEST_CASE("forged parity gives nothing that could be no frame of its place, and true parity still finds room") {
  Stream stream{{4, 2}, 4000, 16, 5};
  test::SeededRandom random{6};
  for (int round = 0; round < 300; ++round) {
    ParityDecoder decoder{GroupId{7}};
    wake(decoder, stream);
    for (const std::uint64_t s : {4004, 4006, 4007}) give(decoder, s, stream.frames[s]);
    Datagram forged = stream.parities[2 + random.below(2)];
    forged[wire::kParityHeader + random.below(2 + wire::kHeader)] ^= static_cast<std::uint8_t>(1 + random.below(255));
    decoder.on_parity(test::view(forged));
    for (const auto& [s, frame] : rebuilt(decoder)) {
      CHECK(s == 4005);
      CHECK(frame.size() <= wire::kMaxSealed);
    }
    decoder.on_parity(test::view(stream.parities[2]));
    CHECK(rebuilt(decoder)[4005] == stream.frames[4005]);
  }
}

TEST_CASE("parity of blocks that are nowhere near is not kept, and cannot push out what is") {
  Stream stream{{4, 1}, 4000, 12, 5};
  ParityDecoder decoder{GroupId{7}};
  decoder.on_parity(test::view(stream.parities[0]));  // nothing has come that tells where the stream is
  CHECK(decoder.counters().drop_elsewhere.get() == 1);
  wake(decoder, stream);
  CHECK(decoder.shape() == ParityShape{4, 1});
  for (const std::uint64_t first : {0, 4, 3000, 4012, 400'000}) {
    Datagram far = stream.parities[0];
    store_be<6>(far.data() + 10, first);
    decoder.on_parity(test::view(far));
  }
  CHECK(decoder.counters().drop_elsewhere.get() == 6);
  for (const std::uint64_t s : {4004, 4005, 4006}) give(decoder, s, stream.frames[s]);
  decoder.on_parity(test::view(stream.parities[1]));
  CHECK(rebuilt(decoder).size() == 1);
  // Where parity has stopped, nobody waits for it any more.
  for (const auto& [s, frame] : stream.frames) give(decoder, s + 100, frame);
  CHECK_FALSE(decoder.shape().on());
}

TEST_CASE("anything at all, in any order, does the decoder no harm") {
  test::SeededRandom random{11};
  Stream stream{{6, 3}, 6000, 60, 7};
  Stream other{{5, 2}, 6000, 60, 8};
  ParityDecoder decoder{GroupId{7}};
  std::size_t made = 0;
  for (int i = 0; i < 20'000; ++i) {
    const Stream& from = random.below(3) == 0 ? other : stream;
    if (random.below(2) == 0) {
      const std::uint64_t s = 6000 + random.below(60);
      give(decoder, s, from.frames.at(s));
    } else {
      Datagram parity = from.parities[random.below(from.parities.size())];
      for (std::uint64_t n = random.below(3); n > 0; --n)
        parity[random.below(parity.size())] = static_cast<std::uint8_t>(random.u64());
      if (random.below(4) == 0) parity.resize(random.below(parity.size() + 1));
      decoder.on_parity(test::view(parity));
    }
    if (random.below(100) == 0) decoder = ParityDecoder{GroupId{7}};
    for (Bytes frame = decoder.next(); !frame.empty(); frame = decoder.next()) {
      ++made;
      REQUIRE(frame.size() <= wire::kMaxSealed);
      REQUIRE(wire::parse_header(frame)->group == GroupId{7});
      if (random.below(2) == 0) decoder.on_frame(wire::parse_header(frame)->sequence, frame);
    }
  }
  CHECK(made > 30);
}

}  // namespace tiercast::parity_test
