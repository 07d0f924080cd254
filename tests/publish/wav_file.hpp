// WAV files as other programs write them, in memory.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "relay/publish/pcm_format.hpp"

namespace tiercast::test {

class WavFile {
 public:
  std::vector<std::uint8_t> bytes;

  WavFile& text(std::string_view word) {
    bytes.insert(bytes.end(), word.begin(), word.end());
    return *this;
  }
  WavFile& number(std::uint64_t value, int size) {
    for (int i = 0; i < size; ++i) bytes.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
    return *this;
  }
  WavFile& form(std::string_view name = "RIFF", std::uint32_t size = 0xffffffff) {
    return text(name).number(size, 4).text("WAVE");
  }
  WavFile& format(unsigned tag, unsigned channels, std::uint32_t rate, unsigned bits, std::uint32_t size = 16) {
    text("fmt ").number(size, 4).number(tag, 2).number(channels, 2).number(rate, 4);
    return number(std::uint64_t{rate} * channels * bits / 8, 4).number(channels * bits / 8, 2).number(bits, 2);
  }
  WavFile& extensible(unsigned subtype, unsigned channels, std::uint32_t rate, unsigned bits, unsigned valid) {
    format(0xfffe, channels, rate, bits, 40).number(22, 2).number(valid, 2).number(3, 4).number(subtype, 2);
    for (const int byte : {0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71})
      bytes.push_back(static_cast<std::uint8_t>(byte));
    return *this;
  }
  WavFile& chunk(std::string_view name, std::size_t size) {
    text(name).number(size, 4);
    bytes.insert(bytes.end(), size + (size & 1), std::uint8_t{0x55});
    return *this;
  }
  /// Its header says `size`.
  WavFile& data(const std::vector<std::uint8_t>& samples, std::uint32_t size) {
    text("data").number(size, 4);
    bytes.insert(bytes.end(), samples.begin(), samples.end());
    return *this;
  }
  WavFile& data(const std::vector<std::uint8_t>& samples) {
    data(samples, static_cast<std::uint32_t>(samples.size()));
    if (samples.size() % 2 != 0) bytes.push_back(0);
    return *this;
  }
};

/// So many bytes that can be told from each other and from headers.
inline std::vector<std::uint8_t> sample_bytes(std::size_t size, std::uint8_t first = 1) {
  std::vector<std::uint8_t> out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(first + i % 97);
  return out;
}

}  // namespace tiercast::test
