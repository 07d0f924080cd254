// Microsoft's and IBM's "Multimedia Programming Interface and Data Specifications 1.0", RIFF and WAVE.
#include "relay/publish/wav_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <string_view>

#include "relay/base/bytes.hpp"

namespace tiercast::publish {

namespace {

constexpr std::size_t kForm = 12;  // "RIFF", size, "WAVE"
constexpr std::size_t kChunk = 8;  // its name, its size
constexpr std::size_t kPlainFormat = 16;
constexpr std::size_t kExtensible = 40;  // WAVE_FORMAT_EXTENSIBLE's
constexpr std::size_t kLargeSizes = 16;  // RF64: of the whole, of the samples
constexpr std::uint64_t kUntilTheEnd = std::numeric_limits<std::uint64_t>::max();

constexpr unsigned kTagPcm = 0x0001;
constexpr unsigned kTagFloat = 0x0003;
constexpr unsigned kTagExtensible = 0xfffe;
// KSDATAFORMAT_SUBTYPE_…: a tag, then this.
constexpr std::array<std::uint8_t, 14> kSubtype{0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71};

std::uint32_t u16(const std::uint8_t* at) { return static_cast<std::uint32_t>(load_le<2>(at)); }
std::uint32_t u32(const std::uint8_t* at) { return static_cast<std::uint32_t>(load_le<4>(at)); }

bool is(const std::uint8_t* at, std::string_view name) { return std::memcmp(at, name.data(), name.size()) == 0; }

std::string tag_name(unsigned tag) {
  switch (tag) {
    case 0x0002:
    case 0x0011: return "ADPCM";
    case 0x0006: return "A-law";
    case 0x0007: return "mu-law";
    case 0x0050:
    case 0x0055: return "MPEG audio";
    default: return fmt::format("format 0x{:04x}", tag);
  }
}

/// Written by who cannot know the length: 0 (GStreamer), all ones (ffmpeg), and the greatest that SoX puts there.
bool says_nothing(std::uint32_t size) { return size == 0 || size == 0xffffffff || size == 0x7ffff000; }

/// arecord's greatest: its stream goes on with another header there, and may end before.
bool is_greatest(std::uint32_t size) { return size == 0x80000000 || size == 0x7fffff00; }

}  // namespace

Bytes WavReader::take(Bytes& input) {
  while (!input.empty() && problem_.empty()) {
    empty_ = false;
    switch (step_) {
      case Step::form:
        if (collect(input, kForm)) begin_form();
        break;
      case Step::chunk:
        if (collect(input, kChunk)) begin_chunk();
        break;
      case Step::large_sizes:
        if (collect(input, kLargeSizes)) {
          large_ = load_le<8>(header_.data() + 8);
          skip(left_ - kLargeSizes);
        }
        break;
      case Step::format:
        if (collect(input, wanted_)) read_format();
        break;
      case Step::skip: {
        const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size()));
        input = input.subspan(size);
        left_ -= size;
        if (left_ == 0) expect(Step::chunk);
        break;
      }
      case Step::samples: {
        const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size()));
        const Bytes samples = input.first(size);
        input = input.subspan(size);
        if (left_ != kUntilTheEnd) left_ -= size;
        audio_ += size;
        if (left_ == 0) skip(0);  // its padding
        return samples;
      }
    }
  }
  return {};
}

bool WavReader::collect(Bytes& input, std::size_t size) {
  const std::size_t more = std::min(size - header_size_, input.size());
  std::memcpy(header_.data() + header_size_, input.data(), more);
  header_size_ += more;
  input = input.subspan(more);
  return header_size_ == size;
}

void WavReader::expect(Step step) {
  step_ = step;
  header_size_ = 0;
}

/// `left` bytes of the chunk are left, and its padding to an even length.
void WavReader::skip(std::uint64_t left) {
  left_ = left + (size_ & 1);
  expect(left_ == 0 ? Step::chunk : Step::skip);
}

void WavReader::begin_form() {
  const std::uint8_t* at = header_.data();
  if (!is(at, "RIFF") && !is(at, "RF64")) {
    std::string what;
    if (is(at, "RIFX")) what = ": it is big-endian (RIFX)";
    if (is(at, "OggS")) what = ": it is Ogg; if that is Opus, use ogg = instead of wav =";
    if (is(at, "fLaC")) what = ": it is FLAC";
    if (is(at, "FORM")) what = ": it is AIFF";
    if (is(at, "ID3") || (at[0] == 0xff && (at[1] & 0xe0) == 0xe0)) what = ": it is MPEG audio";
    return fail("not a WAV file" + what);
  }
  if (!is(at + 8, "WAVE")) return fail("not a WAV file, but RIFF of another kind");
  large_.reset();
  expect(Step::chunk);
}

void WavReader::begin_chunk() {
  const std::uint8_t* at = header_.data();
  const std::uint32_t size = u32(at + 4);
  size_ = left_ = size;
  if (is(at, "fmt ")) {
    if (size < kPlainFormat) return fail(fmt::format("not a WAV file: its format has {} bytes, 16 are least", size));
    wanted_ = std::min<std::size_t>(size, kExtensible);
    return expect(Step::format);
  }
  if (is(at, "ds64") && size >= kLargeSizes) return expect(Step::large_sizes);
  if (is(at, "data")) return begin_samples(size);
  if (audio_ != 0 && (is(at, "RIFF") || is(at, "RF64"))) {
    step_ = Step::form;  // with these 8 bytes
    return;
  }
  skip(size);
}

void WavReader::begin_samples(std::uint32_t size) {
  if (!format_) return fail("not a WAV file: its samples come before their format");
  const bool unknown = large_ ? *large_ == 0 : says_nothing(size);
  size_ = unknown ? 0 : large_.value_or(size);
  left_ = unknown ? kUntilTheEnd : size_;
  may_be_short_ = unknown || (!large_ && is_greatest(size));
  stated_ = audio_ + size_;
  expect(Step::samples);
}

void WavReader::read_format() {
  const std::uint8_t* at = header_.data();
  unsigned tag = u16(at);
  const unsigned channels = u16(at + 2);
  const std::uint32_t rate = u32(at + 4);
  const unsigned block = u16(at + 12);
  const unsigned bits = u16(at + 14);
  if (tag == kTagExtensible && wanted_ == kExtensible &&
      std::equal(kSubtype.begin(), kSubtype.end(),
                 at + 26))  // of fewer valid bits than there are, the lowest are zeros
    tag = u16(at + 24);
  constexpr const char* kConvert = "convert it: ffmpeg -i FILE -c:a pcm_s16le NEW.wav";
  if (tag != kTagPcm && tag != kTagFloat)
    return fail(fmt::format("its samples are {}; PCM of 16, 24 or 32 bits is taken; {}", tag_name(tag), kConvert));
  PcmFormat format;
  if (tag == kTagFloat && bits == 32) {
    format.format = SampleFormat::f32le;
  } else if (tag == kTagPcm && bits == 16) {
    format.format = SampleFormat::s16le;
  } else if (tag == kTagPcm && bits == 24) {
    format.format = SampleFormat::s24le;
  } else if (tag == kTagPcm && bits == 32) {
    format.format = SampleFormat::s32le;
  } else {
    return fail(fmt::format("its samples have {} bits{}; PCM of 16, 24 or 32 bits and floats of 32 are taken; {}", bits,
                            tag == kTagFloat ? " (float)" : "", kConvert));
  }
  if (channels != 1 && channels != 2)
    return fail(
        fmt::format("it has {} channels; mono and stereo are taken; mix it: ffmpeg -i FILE -ac 2 NEW.wav", channels));
  if (rate < kMinSampleRate || rate > kMaxSampleRate)
    return fail(fmt::format("its sample rate is {} Hz; {} to {} are taken", rate, kMinSampleRate, kMaxSampleRate));
  format.channels = static_cast<std::uint8_t>(channels);
  format.rate = rate;
  if (block != format.block())
    return fail(fmt::format("not a WAV file: {} channels of {} bits in {} bytes", channels, bits, block));
  if (format_ && audio_ != 0 && !(*format_ == format)) return fail("it goes on in another sample format");
  format_ = format;
  skip(size_ - wanted_);
}

void WavReader::finish() {
  if (!problem_.empty()) return;
  if (audio_ == 0) {
    if (empty_) return fail("empty");
    return fail(step_ == Step::samples ? "it has no samples in it" : "not a WAV file, or cut short before its samples");
  }
  if (step_ != Step::samples || may_be_short_) return;
  notice_ = fmt::format("cut short: it says {} bytes of samples, and {} of them are there", stated_, audio_);
}

}  // namespace tiercast::publish
