// Readers and writers: big-endian, and an end that cannot be passed.
#include "relay/base/bytes.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "tests/support/hex.hpp"

namespace tiercast::bytes_test {
namespace {

using test::hex;
using test::unhex;

TEST_CASE("numbers are big-endian, in every width") {
  std::array<std::uint8_t, 32> buffer{};
  Writer w{buffer};
  w.u8(0x01).u16(0x0203).u24(0x040506).u32(0x0708090a).u48(0x0b0c0d0e0f10).u64(0x1112131415161718);
  CHECK(w.ok());
  CHECK(hex(w.written()) == "0102030405060708090a0b0c0d0e0f101112131415161718");
  Reader r{w.written()};
  CHECK(r.u8() == 0x01);
  CHECK(r.u16() == 0x0203);
  CHECK(r.u24() == 0x040506);
  CHECK(r.u32() == 0x0708090a);
  CHECK(r.u48() == 0x0b0c0d0e0f10);
  CHECK(r.u64() == 0x1112131415161718);
  CHECK(r.left() == 0);
  CHECK(r.ok());
}

TEST_CASE("a number wider than its field loses its high bits and nothing beside it") {
  std::array<std::uint8_t, 4> buffer{0xaa, 0xaa, 0xaa, 0xaa};
  store_be<2>(buffer.data() + 1, 0x123456789);
  CHECK(hex(buffer) == "aa6789aa");
}

TEST_CASE("the first read past the end fails the reader for good") {
  const auto bytes = unhex("010203");
  Reader r{bytes};
  CHECK(r.u16() == 0x0102);
  CHECK(r.u16() == 0);
  CHECK_FALSE(r.ok());
  CHECK(r.left() == 0);
  CHECK(r.u8() == 0);  // the byte that was left is not handed out any more
  CHECK(r.bytes(0).empty());
  CHECK_FALSE(r.ok());
}

TEST_CASE("reading exactly to the end is no failure, at any width") {
  const auto bytes = unhex("0102030405060708");
  for (std::size_t n = 0; n <= bytes.size(); ++n) {
    Reader r{Bytes{bytes}.first(n)};
    CHECK(r.bytes(n).size() == n);
    CHECK(r.ok());
    CHECK(r.u8() == 0);
    CHECK_FALSE(r.ok());
  }
  Reader r{bytes};
  CHECK_FALSE(Reader{bytes}.array<9>() == std::array<std::uint8_t, 9>{1});
  CHECK(r.array<8>()[7] == 8);
  CHECK(r.ok());
}

TEST_CASE("all() takes what is left, nothing included") {
  const auto bytes = unhex("0102");
  Reader r{bytes};
  CHECK(r.all().size() == 2);
  CHECK(r.all().empty());
  CHECK(r.ok());
}

TEST_CASE("what does not fit is not written and fails the writer for good") {
  std::array<std::uint8_t, 4> buffer{0xaa, 0xaa, 0xaa, 0xaa};
  Writer w{MutableBytes{buffer}.first(3)};
  w.u16(0x0102).u16(0x0304);
  CHECK_FALSE(w.ok());
  CHECK(w.size() == 2);
  w.u8(5);  // would fit, but something is missing before it
  CHECK_FALSE(w.ok());
  CHECK(hex(buffer) == "0102aaaa");
}

TEST_CASE("bytes, zeros and advance() move by what they say") {
  std::array<std::uint8_t, 8> buffer{};
  buffer.fill(0xaa);
  Writer w{buffer};
  w.bytes(unhex("0102")).bytes({}).zeros(2);
  CHECK(w.rest().size() == 4);
  w.rest()[0] = 0x77;
  w.advance(1);
  CHECK(w.ok());
  CHECK(hex(w.written()) == "0102000077");
  CHECK(w.left() == 3);
  CHECK_FALSE(Writer{buffer}.advance(9).ok());
  CHECK(Writer{buffer}.advance(8).ok());
  CHECK_FALSE(Writer{buffer}.zeros(9).ok());
  CHECK(Writer{MutableBytes{}}.bytes({}).ok());
  CHECK_FALSE(Writer{MutableBytes{}}.u8(1).ok());
}

}  // namespace
}  // namespace tiercast::bytes_test
