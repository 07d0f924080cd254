// RIFF/WAVE as it comes in, in pieces of any size: what its samples look like, and which bytes are samples.
// Must not know: files, what becomes of the samples.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <utility>

#include "relay/base/types.hpp"
#include "relay/publish/pcm_format.hpp"

namespace tiercast::publish {

/// PCM of 16, 24 or 32 bits and floats of 32, plain or WAVE_FORMAT_EXTENSIBLE, mono or stereo; RF64 (EBU Tech 3306)
/// too. A `data` chunk of size 0 or 0xffffffff, which a pipe's writer cannot know, lasts until the input ends. What
/// comes behind the samples is skipped, but another RIFF/WAVE of the same format goes on (arecord begins one every 2
/// GiB).
class WavReader {
 public:
  /// Takes from the front of `input`; the samples' bytes among what it took, a view of it, or empty for the rest. Call
  /// until `input` is empty or there is a problem(). Allocates for a text only.
  Bytes take(Bytes& input);
  /// Nothing more comes.
  void finish();

  /// Set before the first samples.
  const std::optional<PcmFormat>& format() const { return format_; }
  bool has_audio() const { return audio_ != 0; }
  /// Why it cannot be read (on); empty: nothing is wrong.
  const std::string& problem() const { return problem_; }
  /// It was played as far as it goes, but is shorter than it says. After finish().
  std::optional<std::string> take_notice() { return std::exchange(notice_, std::nullopt); }

 private:
  enum class Step : std::uint8_t { form, chunk, large_sizes, format, skip, samples };
  bool collect(Bytes& input, std::size_t size);
  void expect(Step step);
  void begin_form();
  void begin_chunk();
  void begin_samples(std::uint32_t size);
  void read_format();
  void skip(std::uint64_t left);
  void fail(std::string why) { problem_ = std::move(why); }

  Step step_ = Step::form;
  std::array<std::uint8_t, 40> header_{};  // of the form, a chunk, or the format
  std::size_t header_size_ = 0;
  std::size_t wanted_ = 0;              // of the format's bytes
  std::uint64_t left_ = 0;              // of the chunk
  std::uint64_t stated_ = 0;            // bytes of samples
  std::uint64_t size_ = 0;              // of the chunk, as it says
  std::optional<std::uint64_t> large_;  // RF64: bytes of samples
  std::uint64_t audio_ = 0;             // bytes of samples so far
  bool may_be_short_ = false;           // the size is one that pipes' writers put there
  bool empty_ = true;
  std::optional<PcmFormat> format_;
  std::string problem_;
  std::optional<std::string> notice_;
};

}  // namespace tiercast::publish
