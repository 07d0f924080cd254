// A whole text file, read at once. Knows nothing of what is in it.
#pragma once

#include <string>
#include <tl/expected.hpp>

namespace tiercast::store {

/// Up to `most` bytes of it: who takes fewer asks for one more, and sees that there are too many. An errno otherwise.
tl::expected<std::string, int> read_text_file(const std::string& path, std::size_t most);

}  // namespace tiercast::store
