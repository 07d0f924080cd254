#include "relay/measure/load_epochs.hpp"

#include <algorithm>

#include "crypto/signature.hpp"

namespace tiercast::measure {

const receive::SourceKey* LoadEpochs::source(SourceId id) const {
  const auto at = std::find_if(sources_.begin(), sources_.end(), [id](const auto& s) { return s.id == id; });
  return at == sources_.end() ? nullptr : &*at;
}

LoadEpochs::Noted LoadEpochs::note(const wire::EpochRecord& record) {
  if (record.group != group_) return {Said::other_group, 0, 0};
  std::size_t place = 0;  // the free one, else the oldest
  for (std::size_t i = 0; i < kPlaces; ++i) {
    if (places_[i] && places_[i]->record.source == record.source && places_[i]->record.epoch == record.epoch) {
      const bool same = places_[i]->record.value == record.value && places_[i]->record.signature == record.signature;
      if (!same) return {Said::forged, 0, 0};
      return {Said::known, static_cast<Held>(1U << i), 0};
    }
    const auto age = [this](std::size_t n) { return places_[n] ? places_[n]->stamp : 0; };
    if (age(i) < age(place)) place = i;
  }
  if (opens()) {
    const receive::SourceKey* const by = source(record.source);
    if (by == nullptr) return {Said::unknown_source, 0, 0};
    if (!crypto::verify_epoch(by->key, record)) return {Said::forged, 0, 0};
  }
  const auto bit = static_cast<Held>(1U << place);
  const Held forgotten = places_[place] ? bit : Held{0};
  places_[place].emplace();
  places_[place]->record = record;
  places_[place]->stamp = ++stamp_;
  if (opens())
    places_[place]->key.emplace(crypto::FrameKey::derive({}, record.value, group_, record.source, record.epoch));
  return {Said::added, bit, forgotten};
}

void LoadEpochs::write_held(Held held, wire::EpochsHeld& out) const {
  out.epochs.clear();
  for (std::size_t i = 0; i < kPlaces; ++i)
    if ((held >> i & 1) != 0 && places_[i])
      out.epochs.push_back({group_, places_[i]->record.source, places_[i]->record.epoch});
}

std::optional<std::size_t> LoadEpochs::find(Held held, SourceId id, Epoch epoch) const {
  for (std::size_t i = 0; i < kPlaces; ++i)
    if ((held >> i & 1) != 0 && places_[i] && places_[i]->record.source == id && places_[i]->record.epoch == epoch)
      return i;
  return std::nullopt;
}

std::optional<std::size_t> LoadEpochs::open(std::size_t place, Bytes datagram, MutableBytes opus) const {
  return places_[place] && places_[place]->key ? places_[place]->key->open(datagram, opus) : std::nullopt;
}

}  // namespace tiercast::measure
