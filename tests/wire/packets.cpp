// Every packet's exact bytes, its way there and back, and every length that must be refused.
#include "relay/wire/packets.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <vector>

#include "tests/support/hex.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::wire::packets_test {
namespace {

using test::hex;
using test::unhex;

Challenge challenge() {
  Challenge c;
  c.nonce = {1, 2, 3, 4, 5, 6, 7, 8};
  c.issued = 0x0a0b0c0d;
  c.wait = 0x0102;
  c.difficulty = 7;
  for (std::size_t i = 0; i < c.cookie.size(); ++i) c.cookie[i] = static_cast<std::uint8_t>(0xc0 + i);
  return c;
}

void check(const Challenge& a, const Challenge& b) {
  CHECK(a.nonce == b.nonce);
  CHECK(a.issued == b.issued);
  CHECK(a.wait == b.wait);
  CHECK(a.difficulty == b.difficulty);
  CHECK(a.cookie == b.cookie);
}

const std::string kChallengeHex =
    "0102030405060708"
    "0a0b0c0d"
    "0102"
    "07"
    "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf";

/// Every parser with a packet it takes, and whether a longer one of that start is taken too.
struct Packet {
  const char* name;
  std::vector<std::uint8_t> bytes;
  std::function<bool(Bytes)> parses;
  std::size_t shortest;
  std::size_t longest;
};

std::vector<Packet> packets() {
  std::vector<std::uint8_t> attest = unhex("22 00 01 000005 00000007 00000000002a 02");
  attest.resize(attest.size() + 2 * kAttestHash + kSignature, 0x5a);
  return {
      {"HELLO", unhex("0100010102030405060708" + std::string(2 * 53, '0')),
       [](Bytes d) { return parse_hello(d).has_value(); }, kHello, kHello},
      {"RETRY", unhex("02000101" + kChallengeHex), [](Bytes d) { return parse_retry(d).has_value(); }, kRetry, kRetry},
      {"JOIN", unhex("03000102" + kChallengeHex + "1112131415161718" + "aabb"),
       [](Bytes d) { return parse_join(d).has_value(); }, kJoinClear + 1, kMaxDatagram},
      {"ACCEPT", unhex("04000102030405060708aabb"), [](Bytes d) { return parse_accept(d).has_value(); },
       kAcceptClear + 1, kMaxDatagram},
      {"CONTROL", unhex("1003" + std::string(2 * 40, '7')), [](Bytes d) { return parse_control(d).has_value(); },
       kMinControl, kMaxDatagram},
      {"FRAME",
       unhex("20010100000500000007"
             "00000000002a" +
             std::string(2 * 20, '7')),
       [](Bytes d) { return parse_header(d).has_value(); }, kHeader, kMaxDatagram},
      {"ATTEST", attest, [](Bytes d) { return parse_attest(d).has_value(); }, attest.size(), attest.size()},
  };
}

TEST_CASE("HELLO is 64 bytes: type, 0, version, nonce, zeros") {
  std::array<std::uint8_t, kHello> out{};
  out.fill(0xaa);
  write_hello(out, {1, {1, 2, 3, 4, 5, 6, 7, 8}});
  CHECK(hex(out) == "0100010102030405060708" + std::string(2 * 53, '0'));
  const auto hello = parse_hello(out);
  REQUIRE(hello);
  CHECK(hello->version == 1);
  CHECK(hello->nonce == Nonce{1, 2, 3, 4, 5, 6, 7, 8});
}

TEST_CASE("RETRY is 35 bytes and smaller than HELLO") {
  static_assert(kRetry < kHello);
  std::array<std::uint8_t, kRetry> out{};
  write_retry(out, {1, 3, challenge()});
  CHECK(hex(out) == "02000103" + kChallengeHex);
  const auto retry = parse_retry(out);
  REQUIRE(retry);
  CHECK(retry->lowest == 1);
  CHECK(retry->highest == 3);
  check(retry->challenge, challenge());
}

TEST_CASE("JOIN is 43 clear bytes, the solution last, then the Noise message") {
  Join join;
  join.pattern = Pattern::nk;
  join.challenge = challenge();
  join.solution = {0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18};
  std::vector<std::uint8_t> out(kJoinClear);
  write_join_clear(std::span<std::uint8_t, kJoinClear>{out}, join);
  CHECK(hex(out) == "03000102" + kChallengeHex + "1112131415161718");
  CHECK(out[kJoinSolutionOffset] == 0x11);
  CHECK_FALSE(parse_join(out));  // a JOIN without a Noise message is none
  out.push_back(0xaa);
  out.push_back(0xbb);
  const auto parsed = parse_join(out);
  REQUIRE(parsed);
  CHECK(parsed->version == 1);
  CHECK(parsed->pattern == Pattern::nk);
  check(parsed->challenge, challenge());
  CHECK(parsed->solution == join.solution);
  CHECK(hex(parsed->noise) == "aabb");
}

TEST_CASE("JOIN's pattern is IK or NK") {
  auto join = packets()[2].bytes;
  for (int pattern = 0; pattern < 256; ++pattern) {
    join[3] = static_cast<std::uint8_t>(pattern);
    CHECK(parse_join(join).has_value() == (pattern == 1 || pattern == 2));
  }
}

TEST_CASE("a version of later is parsed: the node decides what to say to it") {
  auto hello = packets()[0].bytes;
  hello[2] = 9;
  CHECK(parse_hello(hello)->version == 9);
  auto join = packets()[2].bytes;
  join[2] = 9;
  CHECK(parse_join(join)->version == 9);
}

TEST_CASE("ACCEPT is 10 clear bytes, then the Noise message") {
  std::array<std::uint8_t, kAcceptClear> out{};
  write_accept_clear(out, {1, 2, 3, 4, 5, 6, 7, 8});
  CHECK(hex(out) == "04000102030405060708");
  const auto bytes = packets()[3].bytes;
  const auto accept = parse_accept(bytes);
  REQUIRE(accept);
  CHECK(accept->nonce == Nonce{1, 2, 3, 4, 5, 6, 7, 8});
  CHECK(hex(accept->noise) == "aabb");
}

TEST_CASE("CONTROL is 18 header bytes, then what is sealed") {
  std::vector<std::uint8_t> out(kControlHeader + kTag);
  write_control_header(std::span{out}.first<kControlHeader>(), Lane{3}, LeaseId{0x1122334455667788},
                       0x99aabbccddeeff00);
  CHECK(hex(Bytes{out}.first(kControlHeader)) == "1003112233445566778899aabbccddeeff00");
  out[kControlHeader] = 0x42;
  const auto control = parse_control(out);
  REQUIRE(control);
  CHECK(control->lane == Lane{3});
  CHECK(control->lease == LeaseId{0x1122334455667788});
  CHECK(control->counter == 0x99aabbccddeeff00);
  CHECK(hex(control->header) == "1003112233445566778899aabbccddeeff00");
  CHECK(control->sealed.size() == kTag);
  CHECK(control->sealed[0] == 0x42);
}

TEST_CASE("the 16-byte header: type, flags, source, group, epoch, sequence") {
  std::array<std::uint8_t, kHeader> out{};
  const Header header{Type::frame,       kFlagEnd | kFlagDiscontinuity, SourceId{2}, GroupId{0x030405},
                      Epoch{0x06070809}, Sequence{0x0a0b0c0d0e0f}};
  write_header(out, header);
  CHECK(hex(out) == "200302030405060708090a0b0c0d0e0f");
  const auto parsed = parse_header(out);
  REQUIRE(parsed);
  CHECK(parsed->type == Type::frame);
  CHECK(parsed->ends());
  CHECK(parsed->jumps());
  CHECK(parsed->source == SourceId{2});
  CHECK(parsed->group == GroupId{0x030405});
  CHECK(parsed->epoch == Epoch{0x06070809});
  CHECK(parsed->sequence == Sequence{0x0a0b0c0d0e0f});
}

TEST_CASE("the header's flags are told apart, unknown ones pass") {
  std::array<std::uint8_t, kHeader> out{};
  for (const std::uint8_t flags : std::array<std::uint8_t, 4>{0, kFlagEnd, kFlagDiscontinuity, 0xfc}) {
    write_header(out, {Type::idle, flags, {}, {}, {}, {}});
    const auto header = parse_header(out);
    REQUIRE(header);
    CHECK(header->flags == flags);
    CHECK(header->ends() == (flags == kFlagEnd));
    CHECK(header->jumps() == (flags == kFlagDiscontinuity));
  }
}

TEST_CASE("types 0x20 to 0x3f have the header, also those of later versions, and no other") {
  std::array<std::uint8_t, kHeader> out{};
  for (int type = 0; type < 256; ++type) {
    out[0] = static_cast<std::uint8_t>(type);
    CHECK(parse_header(out).has_value() == (type >= 0x20 && type <= 0x3f));
  }
}

TEST_CASE("ATTEST: header, count, hashes, signature, and no byte more or less for any count") {
  for (std::size_t count = 0; count <= 255; ++count) {
    std::vector<std::uint8_t> bytes = unhex("22 00 01 000005 00000007 00000000002a");
    bytes.push_back(static_cast<std::uint8_t>(count));
    for (std::size_t i = 0; i < count * kAttestHash; ++i)
      bytes.push_back(static_cast<std::uint8_t>(i / kAttestHash + 1));
    bytes.resize(bytes.size() + kSignature, 0x5a);
    const auto attest = parse_attest(bytes);
    REQUIRE(attest.has_value() == (count >= 1 && count <= kMaxAttested));
    if (!attest) continue;
    CHECK(attest->count == count);
    CHECK(attest->signed_part.size() == kHeader + 1 + count * kAttestHash);
    CHECK(attest->signed_part.data() == bytes.data());
    CHECK(attest->signature.size() == kSignature);
    CHECK(attest->signature[0] == 0x5a);
    CHECK(attest->hash(0)[0] == 1);
    CHECK(attest->hash(count - 1)[15] == count);
    CHECK_FALSE(attest->covers(Sequence{41}));
    CHECK(attest->covers(Sequence{42}));
    CHECK(attest->covers(Sequence{42 + count - 1}));
    CHECK_FALSE(attest->covers(Sequence{42 + count}));
    auto other = bytes;
    other.push_back(0);
    CHECK_FALSE(parse_attest(other));
    other = bytes;
    other[0] = 0x20;
    CHECK_FALSE(parse_attest(other));
  }
}

TEST_CASE("every packet is taken at its lengths and refused at every other") {
  for (const Packet& packet : packets()) {
    CAPTURE(packet.name);
    REQUIRE(packet.parses(packet.bytes));
    for (std::size_t n = 0; n <= kMaxDatagram + 1; ++n) {
      // A block of exactly this size: a read past its end is a sanitizer's finding.
      std::vector<std::uint8_t> cut(n, 0x01);
      std::copy_n(packet.bytes.begin(), std::min(n, packet.bytes.size()), cut.begin());
      CAPTURE(n);
      REQUIRE(packet.parses(cut) == (n >= packet.shortest && n <= packet.longest));
    }
  }
}

TEST_CASE("no parser takes another's packet") {
  const auto all = packets();
  for (const Packet& packet : all) {
    for (const Packet& other : all) {
      if (packet.name == other.name) continue;
      // FRAME's parser is the header's, which ATTEST has too.
      const bool expected = packet.bytes[0] == 0x22 && other.bytes[0] == 0x20;
      CAPTURE(packet.name);
      CAPTURE(other.name);
      CHECK(other.parses(packet.bytes) == expected);
    }
  }
}

TEST_CASE(
    "trailers: signature and MAC behind a FRAME on a relay link, the MAC alone behind others, none to listeners") {
  CHECK(trailer_size(Type::frame, Trailers::none) == 0);
  CHECK(trailer_size(Type::frame, Trailers::signature) == 64);
  CHECK(trailer_size(Type::frame, Trailers::link) == 80);
  for (const Type type : {Type::parity, Type::attest, Type::idle, Type{0x24}, Type{0x3f}}) {
    CHECK(trailer_size(type, Trailers::none) == 0);
    CHECK(trailer_size(type, Trailers::signature) == 0);
    CHECK(trailer_size(type, Trailers::link) == 16);
  }
  CHECK(type_of({}) == 0);
}

TEST_CASE("a PARITY is of an aligned block, of no more than a block has, and of what a FRAME can be made from") {
  std::vector<std::uint8_t> bytes(kParityHeader + 60);
  write_header(std::span{bytes}.first<kHeader>(), {Type::parity, 0, SourceId{1}, GroupId{7}, Epoch{1}, Sequence{1200}});
  const auto parses = [&](std::uint8_t k, std::uint8_t r, std::uint8_t index) {
    bytes[16] = k;
    bytes[17] = r;
    bytes[18] = index;
    return parse_parity(bytes).has_value();
  };
  REQUIRE(parses(10, 2, 1));
  const auto parity = *parse_parity(bytes);
  CHECK((parity.k == 10 && parity.r == 2 && parity.index == 1 && parity.symbol.size() == 60));
  CHECK(parses(1, 1, 0));
  CHECK(parses(30, 16, 15));
  using Shape = std::array<int, 3>;
  for (const auto& [k, r, index] : {Shape{0, 0, 0}, Shape{10, 0, 0}, Shape{10, 2, 2}, Shape{10, 11, 0}, Shape{11, 2, 0},
                                    Shape{33, 2, 0}, Shape{24, 17, 0}, Shape{40, 2, 0}, Shape{255, 255, 0}})
    CHECK_FALSE(parses(static_cast<std::uint8_t>(k), static_cast<std::uint8_t>(r), static_cast<std::uint8_t>(index)));
  REQUIRE(parses(10, 2, 0));
  for (const std::size_t symbol : {std::size_t{0}, std::size_t{33}, kMaxSymbol + 1}) {
    bytes.resize(kParityHeader + symbol);
    CHECK_FALSE(parse_parity(bytes));
  }
  for (const std::size_t symbol : {std::size_t{34}, kMaxSymbol}) {
    bytes.resize(kParityHeader + symbol);
    CHECK(parse_parity(bytes));
  }
  bytes[0] = 0x22;
  CHECK_FALSE(parse_parity(bytes));
}

TEST_CASE("random bytes, and packets with random changes, never do more than fail to parse") {
  test::SeededRandom random{42};
  const auto all = packets();
  std::size_t taken = 0;
  for (int i = 0; i < 200000; ++i) {
    std::vector<std::uint8_t> bytes;
    if (i % 2 == 0) {
      bytes.resize(random.below(i % 16 == 0 ? kMaxDatagram + 8 : 80));
      random.fill(bytes);
      if (!bytes.empty()) bytes[0] = static_cast<std::uint8_t>(bytes[0] & 0x3f);
    } else {
      bytes = all[random.below(all.size())].bytes;
      for (std::uint64_t n = random.below(4); n > 0; --n)
        bytes[random.below(bytes.size())] = static_cast<std::uint8_t>(random.below(256));
      if (random.below(4) == 0) bytes.resize(random.below(bytes.size() + 1));
      bytes.shrink_to_fit();
    }
    for (const Packet& packet : all) taken += packet.parses(bytes) ? 1 : 0;
    if (const auto attest = parse_attest(bytes)) {
      for (std::size_t n = 0; n < attest->count; ++n) taken += attest->hash(n).size() == kAttestHash ? 0 : 1000000;
    }
  }
  CHECK(taken > 50000);
  CHECK(taken < 1000000);
}

}  // namespace
}  // namespace tiercast::wire::packets_test
