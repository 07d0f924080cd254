#include "relay/receive/ogg_repair.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <string_view>

#include "relay/receive/opus_packet.hpp"

namespace tiercast::receive {
namespace {

constexpr std::size_t kMostComments = 64;
constexpr std::size_t kHead = 19;  // OpusHead of mapping family 0, RFC 7845 §5.1

bool starts_with(Bytes bytes, std::string_view word) {
  return bytes.size() >= word.size() && std::memcmp(bytes.data(), word.data(), word.size()) == 0;
}

std::optional<std::uint32_t> take_le32(Bytes& bytes) {
  if (bytes.size() < 4) return std::nullopt;
  const std::uint32_t value = static_cast<std::uint32_t>(bytes[0]) | static_cast<std::uint32_t>(bytes[1]) << 8 |
                              static_cast<std::uint32_t>(bytes[2]) << 16 | static_cast<std::uint32_t>(bytes[3]) << 24;
  bytes = bytes.subspan(4);
  return value;
}

std::optional<std::string> take_text(Bytes& bytes) {
  const auto size = take_le32(bytes);
  if (!size || *size > bytes.size()) return std::nullopt;
  std::string text(reinterpret_cast<const char*>(bytes.data()), *size);
  bytes = bytes.subspan(*size);
  return text;
}

}  // namespace

std::string OggFacts::comment(std::string_view name) const {
  for (const std::string& one : comments)
    if (one.size() > name.size() && one.starts_with(name) && one[name.size()] == '=')
      return one.substr(name.size() + 1);
  return {};
}

void OggScan::add(Bytes piece) {
  if (piece.empty()) return;
  char* room = ogg_sync_buffer(&sync_, static_cast<long>(piece.size()));
  if (room == nullptr) throw std::bad_alloc();
  std::memcpy(room, piece.data(), piece.size());
  ogg_sync_wrote(&sync_, static_cast<long>(piece.size()));
  while (true) {
    ogg_page page;
    const long size = ogg_sync_pageseek(&sync_, &page);
    if (size == 0) return;
    at_ += static_cast<std::uint64_t>(size < 0 ? -size : size);
    if (size > 0) on_page(page);
  }
}

void OggScan::on_page(ogg_page& page) {
  const Bytes body{page.body, static_cast<std::size_t>(page.body_len)};
  const auto serial = static_cast<std::uint32_t>(ogg_page_serialno(&page));
  if (facts_.pages == 0) {
    if (ogg_page_bos(&page) == 0 || body.size() < kHead || !starts_with(body, "OpusHead")) return;
    facts_.serial = serial;
    facts_.stereo = body[9] == 2;
    pre_skip_ = body[10] | body[11] << 8;
  } else if (serial != facts_.serial) {
    return;  // another stream's: left where it is, if something of this one follows
  } else if (!facts_.readable) {
    if (!starts_with(body, "OpusTags")) return;
    facts_.readable = true;
    read_tags(body);
  } else {
    facts_.audio = true;
    if (const ogg_int64_t granule = ogg_page_granulepos(&page); granule >= pre_skip_) {
      facts_.last_granule = granule;
      facts_.samples = granule - pre_skip_;
    }
  }
  facts_.pages = static_cast<std::uint32_t>(ogg_page_pageno(&page)) + 1;
  facts_.ended = ogg_page_eos(&page) != 0;
  facts_.whole = at_;
}

void OggScan::read_tags(Bytes packet) {
  packet = packet.subspan(8);
  if (!take_text(packet)) return;
  const auto count = take_le32(packet);
  if (!count) return;
  for (std::size_t i = 0; i < std::min<std::size_t>(*count, kMostComments); ++i) {
    auto text = take_text(packet);
    if (!text) return;
    facts_.comments.push_back(std::move(*text));
  }
}

std::vector<std::uint8_t> ogg_end_page(const OggFacts& facts) {
  ogg_stream_state stream;
  if (ogg_stream_init(&stream, static_cast<int>(facts.serial)) != 0) throw std::bad_alloc();
  stream.pageno = facts.pages;
  stream.b_o_s = 1;  // it has begun long ago
  std::uint8_t silence = opus_shortest(facts.stereo);
  ogg_packet packet{};
  packet.packet = &silence;
  packet.bytes = 1;
  packet.e_o_s = 1;
  packet.granulepos = facts.last_granule;  // all of the packet is cut off (RFC 7845 §4.4)
  ogg_stream_packetin(&stream, &packet);
  std::vector<std::uint8_t> out;
  ogg_page page;
  while (ogg_stream_flush(&stream, &page) != 0) {
    out.insert(out.end(), page.header, page.header + page.header_len);
    out.insert(out.end(), page.body, page.body + page.body_len);
  }
  ogg_stream_clear(&stream);
  return out;
}

}  // namespace tiercast::receive
