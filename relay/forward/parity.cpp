#include "relay/forward/parity.hpp"

#include <isa-l/erasure_code.h>

#include <algorithm>
#include <bit>
#include <cassert>

namespace tiercast::forward {
namespace {

/// What a symbol has of a frame: row k + index, column `position` of ISA-L's gf_gen_cauchy1_matrix().
std::uint8_t coefficient(unsigned k, unsigned index, unsigned position) {
  return gf_inv(static_cast<std::uint8_t>((k + index) ^ position));
}

void fill(ParitySymbol& symbol, Bytes datagram) {
  store_be<2>(symbol.data(), datagram.size());
  const auto end = std::copy(datagram.begin(), datagram.end(), symbol.begin() + 2);
  std::fill(end, symbol.end(), std::uint8_t{0});
}

int as_int(std::size_t n) { return static_cast<int>(n); }

}  // namespace

// --- making ---

ParityEncoder::ParityEncoder(ParityShape shape)
    : shape_(shape),
      tables_(std::size_t{32} * shape.data * shape.repair),
      data_(shape.data),
      symbols_(shape.repair),
      next_(shape.repair) {
  assert(shape.on() && shape.repair != 0 && shape.data <= wire::kMaxParityData);
  assert(shape.repair <= shape.data && shape.repair <= wire::kMaxParityRepair);
  std::vector<std::uint8_t> rows;
  for (unsigned i = 0; i < shape.repair; ++i)
    for (unsigned j = 0; j < shape.data; ++j) rows.push_back(coefficient(shape.data, i, j));
  ec_init_tables(shape.data, shape.repair, rows.data(), tables_.data());
}

void ParityEncoder::on_frame(const History& history, Sequence sequence) {
  const std::uint64_t first = sequence.value - sequence.value % shape_.data;
  for (std::uint64_t s = first; s < first + shape_.data; ++s)
    if (!history.has(Sequence{s})) return;
  std::array<std::uint8_t*, wire::kMaxParityData> data;
  std::array<std::uint8_t*, wire::kMaxParityRepair> symbols;
  length_ = 0;
  for (unsigned i = 0; i < shape_.data; ++i) {
    const auto pin = history.frame(Sequence{first + i});
    if (!pin) return;
    fill(data_[i], pin.datagram());
    length_ = std::max(length_, 2 + pin.datagram().size());
    data[i] = data_[i].data();
    if (i == 0) header_ = *wire::parse_header(pin.datagram());
  }
  for (unsigned i = 0; i < shape_.repair; ++i) symbols[i] = symbols_[i].data();
  ec_encode_data(as_int(length_), shape_.data, shape_.repair, tables_.data(), data.data(), symbols.data());
  header_.type = wire::Type::parity;
  header_.flags = 0;
  next_ = 0;
}

Bytes ParityEncoder::take() {
  if (next_ == shape_.repair) return {};
  wire::write_header(std::span{datagram_}.first<wire::kHeader>(), header_);
  datagram_[wire::kHeader] = shape_.data;
  datagram_[wire::kHeader + 1] = shape_.repair;
  datagram_[wire::kHeader + 2] = static_cast<std::uint8_t>(next_);
  std::copy_n(symbols_[next_++].begin(), length_, datagram_.begin() + wire::kParityHeader);
  return Bytes{datagram_}.first(wire::kParityHeader + length_);
}

// --- rebuilding ---

void ParityDecoder::on_frame(Sequence sequence, Bytes datagram) {
  newest_ = std::max(newest_, sequence);
  if (!store_ || datagram.size() > wire::kMaxSealed) return;
  Frame& into = frame(sequence.value);
  if (into.sequence >= sequence) return;  // it is here, or what came is very late
  into.sequence = sequence;
  fill(into.symbol, datagram);
  for (Block& block : store_->blocks)
    if (block.have != 0 && sequence.value >= block.first && sequence.value < block.end()) try_rebuild(block);
}

void ParityDecoder::on_parity(Bytes datagram) {
  const auto parity = wire::parse_parity(datagram);
  if (!parity || parity->header.group != group_) return counters_.drop_malformed.add();
  counters_.received.add();
  // A block is looked at while its frames can be here, and no sooner than they come.
  const std::uint64_t first = parity->header.sequence.value;
  if (newest_.value == 0 || first > newest_.value + parity->k || first + kFrames <= newest_.value)
    return counters_.drop_elsewhere.add();
  if (!store_) store_ = std::make_unique<Store>();
  shape_ = {parity->k, parity->r};
  last_first_ = first;
  Block* const block = block_for(*parity);
  if (block == nullptr) return counters_.drop_elsewhere.add();
  const std::uint32_t bit = std::uint32_t{1} << parity->index;
  if ((block->have & bit) != 0) return counters_.drop_duplicate.add();
  block->have |= bit;
  std::copy(parity->symbol.begin(), parity->symbol.end(), block->symbols[parity->index].begin());
  try_rebuild(*block);
}

/// The place of a symbol's block: a new one takes that of the oldest.
ParityDecoder::Block* ParityDecoder::block_for(const wire::Parity& parity) {
  const std::uint64_t first = parity.header.sequence.value;
  const ParityShape shape{parity.k, parity.r};
  Block* oldest = &store_->blocks.front();
  for (Block& block : store_->blocks) {
    if (block.first == first && block.shape == shape && block.length == parity.symbol.size()) return &block;
    if (block.first < oldest->first) oldest = &block;
  }
  if (oldest->first > first) return nullptr;
  oldest->first = first;
  oldest->shape = shape;
  oldest->length = parity.symbol.size();
  oldest->have = 0;
  return oldest;
}

void ParityDecoder::try_rebuild(Block& block) {
  InlineVector<std::uint8_t, wire::kMaxParityRepair> missing;
  for (unsigned i = 0; i < block.shape.data; ++i) {
    if (frame(block.first + i).sequence.value == block.first + i) continue;
    if (!missing.push_back(static_cast<std::uint8_t>(i))) return;
  }
  if (missing.empty()) {
    block.have = 0;  // of no use any more
    return;
  }
  if (missing.size() > static_cast<std::size_t>(std::popcount(block.have))) return;
  // What it was made from is not used again: were it forged, true symbols may still come.
  if (!solve(block, {missing.begin(), missing.size()})) counters_.drop_inconsistent.add();
  block.have = 0;
}

/// The missing frames are what m symbols tell, less what the frames that are here make of them: m unknowns. Any square
/// part of a Cauchy matrix can be inverted.
bool ParityDecoder::solve(Block& block, std::span<const std::uint8_t> missing) {
  const unsigned k = block.shape.data;
  const std::size_t m = missing.size();
  std::array<std::uint8_t, wire::kMaxParityRepair> indices{};  // of the symbols that are used
  for (unsigned i = 0, n = 0; n < m; ++i)
    if ((block.have >> i & 1) != 0) indices[n++] = static_cast<std::uint8_t>(i);
  std::array<std::uint8_t, wire::kMaxParityRepair * wire::kMaxParityRepair> square{}, inverse{};
  for (std::size_t a = 0; a < m; ++a)
    for (std::size_t b = 0; b < m; ++b) square[a * m + b] = coefficient(k, indices[a], missing[b]);
  if (gf_invert_matrix(square.data(), inverse.data(), as_int(m)) != 0) return false;

  std::array<std::uint8_t*, wire::kMaxParityData> from{};
  std::array<std::uint8_t*, wire::kMaxParityRepair> to{};
  std::array<std::uint8_t, wire::kMaxParityData * wire::kMaxParityRepair> rows{};
  std::size_t column = 0;
  const auto add = [&](ParitySymbol& source, auto&& weight) {
    from[column] = source.data();
    for (std::size_t b = 0; b < m; ++b) rows[b * k + column] = weight(b);
    ++column;
  };
  for (unsigned i = 0; i < k; ++i) {
    if (std::find(missing.begin(), missing.end(), i) != missing.end()) continue;
    ParitySymbol& symbol = frame(block.first + i).symbol;
    if (2 + load_be<2>(symbol.data()) > block.length) return false;  // it cannot have been in there
    add(symbol, [&](std::size_t b) {
      std::uint8_t sum = 0;
      for (std::size_t a = 0; a < m; ++a) sum ^= gf_mul(inverse[b * m + a], coefficient(k, indices[a], i));
      return sum;
    });
  }
  for (std::size_t a = 0; a < m; ++a) add(block.symbols[indices[a]], [&](std::size_t b) { return inverse[b * m + a]; });
  for (std::size_t b = 0; b < m; ++b) to[b] = store_->rebuilt[b].data();
  ec_init_tables(as_int(k), as_int(m), rows.data(), store_->tables.data());
  ec_encode_data(as_int(block.length), as_int(k), as_int(m), store_->tables.data(), from.data(), to.data());

  rebuilt_ = next_ = 0;
  for (std::size_t b = 0; b < m; ++b)
    if (!plausible(store_->rebuilt[b], block.length, Sequence{block.first + missing[b]})) return false;
  rebuilt_ = static_cast<unsigned>(m);
  counters_.rebuilt.add(m);
  return true;
}

bool ParityDecoder::plausible(const ParitySymbol& symbol, std::size_t length, Sequence sequence) const {
  const std::size_t size = load_be<2>(symbol.data());
  if (size < wire::kHeader + wire::kTag || 2 + size > length) return false;
  const auto header = wire::parse_header(Bytes{symbol}.subspan(2, size));
  return header && header->type == wire::Type::frame && header->group == group_ && header->sequence == sequence;
}

Bytes ParityDecoder::next() {
  if (next_ == rebuilt_) return {};
  const ParitySymbol& symbol = store_->rebuilt[next_++];
  return Bytes{symbol}.subspan(2, load_be<2>(symbol.data()));
}

}  // namespace tiercast::forward
