// Finds out how far an Ogg Opus file that was cut off anywhere is whole, and what to append so that it has an end.
// Bytes in, facts out; knows no file.
#pragma once

#include <ogg/ogg.h>

#include <optional>
#include <string>
#include <vector>

#include "relay/base/types.hpp"

namespace tiercast::receive {

/// Of one logical stream, as OggOpusWriter makes it.
struct OggFacts {
  std::uint64_t whole = 0;  // bytes up to the end of the last whole page
  bool readable = false;    // both headers are whole
  bool audio = false;       // and a page after them
  bool ended = false;       // the last page has the mark of the end
  bool stereo = false;
  std::uint32_t serial = 0;
  std::uint32_t pages = 0;
  std::int64_t last_granule = 0;
  std::int64_t samples = 0;  // that the audio lasts, at 48 kHz
  std::vector<std::string> comments;
  /// Of a comment "NAME=value" the value; empty: there is none.
  std::string comment(std::string_view name) const;
};

/// Reads a file in pieces of any size. What no page begins with is skipped, as every reader does: a page behind a
/// damaged one still counts.
class OggScan {
 public:
  OggScan() { ogg_sync_init(&sync_); }
  ~OggScan() { ogg_sync_clear(&sync_); }
  OggScan(const OggScan&) = delete;
  OggScan& operator=(const OggScan&) = delete;
  void add(Bytes piece);
  const OggFacts& facts() const { return facts_; }

 private:
  void on_page(ogg_page& page);
  void read_tags(Bytes packet);
  ogg_sync_state sync_{};
  std::uint64_t at_ = 0;
  std::int64_t pre_skip_ = 0;
  OggFacts facts_;
};

/// A last page with the mark of the end, for behind OggFacts::whole bytes; the file lasts no longer by it.
std::vector<std::uint8_t> ogg_end_page(const OggFacts& facts);

}  // namespace tiercast::receive
