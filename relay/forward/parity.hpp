// Parity over sealed datagrams: for every k FRAMEs in a row, r symbols of which any one makes good any one that is
// missing (a Cauchy Reed-Solomon code, crypto/PROTOCOL.md "Parity"). Needs no key and vouches for nothing: what is
// rebuilt is judged like what comes. Allocates at the start alone; knows no time.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "relay/base/counter.hpp"
#include "relay/base/inline_vector.hpp"
#include "relay/forward/history.hpp"
#include "relay/forward/parity_shape.hpp"

namespace tiercast::forward {

/// A FRAME as a symbol's contents: its length u16, its bytes, zeros.
using ParitySymbol = std::array<std::uint8_t, wire::kMaxSymbol>;

/// Who serves listeners: makes each block's PARITYs once.
class ParityEncoder {
 public:
  explicit ParityEncoder(ParityShape shape);
  /// A frame has come to stand in history, the last that its block lacked or not. A block that is never whole (the
  /// media clock jumped, or a frame is lost here too) gets no parity.
  void on_frame(const History& history, Sequence sequence);
  /// The next PARITY; empty: none is left. Take one after each frame: they go out among the next block's frames, so
  /// that a burst of losses does not take them with their block. Valid until the next call.
  Bytes take();
  ParityShape shape() const { return shape_; }

 private:
  ParityShape shape_;
  std::vector<std::uint8_t> tables_;
  std::vector<ParitySymbol> data_, symbols_;
  std::array<std::uint8_t, wire::kParityHeader + wire::kMaxSymbol> datagram_{};
  wire::Header header_;
  std::size_t length_ = 0;  // of the block's symbols
  unsigned next_ = 0;       // of symbols_, to be taken
};

struct ParityCounters {
  Counter received, rebuilt, drop_malformed, drop_elsewhere, drop_duplicate, drop_inconsistent;
  template <class F>
  void each(F&& f) const {
    f("parity_received", received);
    f("parity_rebuilt", rebuilt);
    f("parity_drop_malformed", drop_malformed);
    f("parity_drop_elsewhere", drop_elsewhere);        // of no block near what comes
    f("parity_drop_duplicate", drop_duplicate);        // two parents bring the same
    f("parity_drop_inconsistent", drop_inconsistent);  // gave nothing that could be a frame
  }
};

/// Who listens: rebuilds what is missing. Until the first PARITY comes it keeps nothing and costs nothing; then some
/// 0.3 MB, whatever comes.
class ParityDecoder {
 public:
  explicit ParityDecoder(GroupId group) : group_(group) {}

  /// A FRAME that was taken, received or rebuilt, without trailers.
  void on_frame(Sequence sequence, Bytes datagram);
  void on_parity(Bytes datagram);
  /// A FRAME that was rebuilt since, to be judged as if it had come; empty: no more. Valid until the next on_…().
  Bytes next();
  /// What the last PARITYs were of; off: none has come for some blocks.
  ParityShape shape() const {
    return newest_.value > last_first_ + std::uint64_t{kBlocks} * shape_.data ? ParityShape{} : shape_;
  }
  const ParityCounters& counters() const { return counters_; }

 private:
  static constexpr std::size_t kFrames = 4 * wire::kMaxParityData;
  static constexpr std::size_t kBlocks = 4;
  struct Frame {
    Sequence sequence;  // 0: none
    ParitySymbol symbol;
  };
  struct Block {
    std::uint64_t first = 0;
    ParityShape shape;
    std::size_t length = 0;  // of its symbols
    std::uint32_t have = 0;  // of the symbols, by bits
    std::array<ParitySymbol, wire::kMaxParityRepair> symbols;
    std::uint64_t end() const { return first + shape.data; }
  };
  struct Store {
    std::array<Frame, kFrames> frames;
    std::array<Block, kBlocks> blocks;
    std::array<ParitySymbol, wire::kMaxParityRepair> rebuilt;
    std::array<std::uint8_t, 32 * wire::kMaxParityData * wire::kMaxParityRepair> tables;
  };
  Frame& frame(std::uint64_t sequence) { return store_->frames[sequence % kFrames]; }
  Block* block_for(const wire::Parity& parity);
  void try_rebuild(Block& block);
  bool solve(Block& block, std::span<const std::uint8_t> missing);
  bool plausible(const ParitySymbol& symbol, std::size_t length, Sequence sequence) const;

  GroupId group_;
  std::unique_ptr<Store> store_;  // since the first PARITY
  Sequence newest_;               // FRAME
  ParityShape shape_;
  std::uint64_t last_first_ = 0;     // of its block
  unsigned rebuilt_ = 0, next_ = 0;  // of Store::rebuilt: made, given
  ParityCounters counters_;
};

}  // namespace tiercast::forward
