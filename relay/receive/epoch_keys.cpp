#include "relay/receive/epoch_keys.hpp"

#include <algorithm>
#include <cassert>

namespace tiercast::receive {

EpochKeys::EpochKeys(GroupId group, const std::vector<SourceId>& sources, Bytes group_secret)
    : group_(group), group_secret_(group_secret.size()) {
  std::copy(group_secret.begin(), group_secret.end(), group_secret_.bytes().begin());
  for (SourceId id : sources) sources_.emplace_back().id = id;
}

EpochKeys::Source* EpochKeys::find(SourceId source) {
  auto at = std::find_if(sources_.begin(), sources_.end(), [&](const Source& s) { return s.id == source; });
  return at == sources_.end() ? nullptr : &*at;
}

std::optional<EpochKeys::Key>& EpochKeys::place_for_new(Source& source) {
  std::size_t unused = 0;
  std::optional<Key>* oldest[2] = {nullptr, nullptr};  // of the unused, of the used
  std::optional<Key>* free = nullptr;
  for (auto& key : source.keys) {
    if (!key) {
      free = &key;
      continue;
    }
    auto*& slot = oldest[key->used ? 1 : 0];
    if (slot == nullptr || key->stamp < (*slot)->stamp) slot = &key;
    if (!key->used) ++unused;
  }
  if (unused >= kUnused) return *oldest[0];
  if (free != nullptr) return *free;
  assert(oldest[1] != nullptr);
  return *oldest[1];  // all places are taken and less than half are unused ones
}

EpochKeys::Added EpochKeys::add(const wire::EpochRecord& record) {
  if (record.group != group_) return Added::other_group;
  Source* source = find(record.source);
  if (source == nullptr) return Added::unknown_source;
  for (const auto& key : source->keys)
    if (key && key->epoch == record.epoch) return Added::known;
  place_for_new(*source).emplace(
      Key{record.epoch,
          crypto::FrameKey::derive(group_secret_.view(), record.value, group_, record.source, record.epoch), ++stamp_});
  return Added::added;
}

bool EpochKeys::has(SourceId source, Epoch epoch) const {
  return std::any_of(sources_.begin(), sources_.end(), [&](const Source& s) {
    return s.id == source &&
           std::any_of(s.keys.begin(), s.keys.end(), [&](const auto& key) { return key && key->epoch == epoch; });
  });
}

std::optional<std::size_t> EpochKeys::open(const wire::Header& header, Bytes datagram, MutableBytes opus) {
  Source* source = find(header.source);
  if (source == nullptr) return std::nullopt;
  for (auto& key : source->keys) {
    if (!key || key->epoch != header.epoch) continue;
    if (auto size = key->key.open(datagram, opus)) {
      key->used = true;
      key->stamp = ++stamp_;
      return size;
    }
  }
  return std::nullopt;
}

wire::EpochsHeld EpochKeys::held() const {
  wire::EpochsHeld out;
  for (const Source& source : sources_)
    for (const auto& key : source.keys)
      if (key) out.epochs.push_back({group_, source.id, key->epoch});
  return out;
}

}  // namespace tiercast::receive
