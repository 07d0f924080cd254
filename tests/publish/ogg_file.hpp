// Ogg Opus files as other programs write them, in memory, page by page.
#pragma once

#include <ogg/ogg.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "relay/base/types.hpp"

namespace tiercast::test {

using OggPacket = std::vector<std::uint8_t>;

/// An Opus packet of one fullband CELT frame of 2.5, 5, 10 or 20 ms, or one SILK frame of 40 or 60, that carries
/// `number`.
inline OggPacket opus_of(double ms, std::uint32_t number, std::size_t size = 8) {
  const unsigned config = ms == 2.5 ? 28 : ms == 5 ? 29 : ms == 10 ? 30 : ms == 20 ? 31 : ms == 40 ? 10 : 11;
  OggPacket out(size, 0xaa);
  out[0] = static_cast<std::uint8_t>(config << 3);
  for (std::size_t i = 0; i < 4 && i + 1 < size; ++i) out[1 + i] = static_cast<std::uint8_t>(number >> (8 * i));
  return out;
}

inline OggPacket opus_head(unsigned channels = 1, unsigned pre_skip = 312, int gain = 0, unsigned mapping = 0) {
  OggPacket out{'O', 'p', 'u', 's', 'H', 'e', 'a', 'd', 1};
  const auto add = [&](unsigned value, int bytes) {
    for (int i = 0; i < bytes; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  };
  add(channels, 1);
  add(pre_skip, 2);
  add(48000, 4);
  add(static_cast<unsigned>(gain), 2);
  add(mapping, 1);
  if (mapping != 0) {
    add((channels + 1) / 2, 1);  // streams
    add(channels / 2, 1);        // of them stereo
    for (unsigned c = 0; c < channels; ++c) add(c, 1);
  }
  return out;
}

inline OggPacket opus_tags(std::size_t size = 20) {
  OggPacket out(size, 0);
  const std::string_view name = "OpusTags";
  std::copy(name.begin(), name.end(), out.begin());
  return out;
}

/// Logical streams are interleaved and chained as the test adds to them.
class OggFile {
 public:
  std::vector<std::uint8_t> bytes;
  std::size_t last_page = 0;  // where it begins

  class Stream {
   public:
    Stream(OggFile& file, int serial) : file_(&file) { ogg_stream_init(&state_, serial); }
    ~Stream() { ogg_stream_clear(&state_); }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    Stream& add(const OggPacket& packet, std::int64_t granule, bool end = false) {
      ogg_packet op{};
      op.packet = const_cast<unsigned char*>(packet.data());
      op.bytes = static_cast<long>(packet.size());
      op.granulepos = granule;
      op.b_o_s = begun_ ? 0 : 1;
      op.e_o_s = end ? 1 : 0;
      begun_ = true;
      ogg_stream_packetin(&state_, &op);
      return *this;
    }
    Stream& page() {
      ogg_page page;
      while (ogg_stream_flush(&state_, &page) != 0) {
        file_->last_page = file_->bytes.size();
        file_->bytes.insert(file_->bytes.end(), page.header, page.header + page.header_len);
        file_->bytes.insert(file_->bytes.end(), page.body, page.body + page.body_len);
      }
      return *this;
    }
    /// Both headers, a page each.
    Stream& headers(const OggPacket& head = opus_head(), const OggPacket& tags = opus_tags()) {
      return add(head, 0).page().add(tags, 0).page();
    }

   private:
    OggFile* file_;
    ogg_stream_state state_{};
    bool begun_ = false;
  };
};

}  // namespace tiercast::test
