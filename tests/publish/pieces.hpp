// Input as it comes from files and pipes: in pieces of any size.
#pragma once

#include <algorithm>
#include <vector>

#include "relay/base/types.hpp"

namespace tiercast::test {

/// All of it, `drain()` after each piece and after the end.
template <class R, class F>
void feed_in_pieces(R& reader, const std::vector<std::uint8_t>& bytes, std::size_t piece, F&& drain) {
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    reader.feed(Bytes{bytes}.subspan(at, std::min(piece, bytes.size() - at)));
    drain();
  }
  reader.finish();
  drain();
}

}  // namespace tiercast::test
