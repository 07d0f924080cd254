// Raw samples as numbers. Must not know: rates, channels, where they come from.
#pragma once

#include "relay/base/types.hpp"
#include "relay/publish/pcm_format.hpp"

namespace tiercast::publish {

/// Every sample of `bytes` into `out`, full scale being -1 to 1; beyond that they are clipped, and what is no number is
/// silence. bytes.size() is out.size() × bytes_of(format).
void to_float(Bytes bytes, SampleFormat format, std::span<float> out);

}  // namespace tiercast::publish
