#include "relay/forward/active_source.hpp"

#include <algorithm>
#include <cassert>

namespace tiercast::forward {

ActiveSource::ActiveSource(std::span<const Source> sources, Duration frame, Duration silence)
    : frame_(frame), silence_(silence) {
  for (const Source& source : sources) {
    OfSource one;
    one.id = source.id;
    [[maybe_unused]] const bool fits = sources_.push_back(one);
    assert(fits);  // config has at most kMaxSources
  }
}

void ActiveSource::heard(SourceId source, Sequence sequence, bool audio, Time now) {
  const auto here = std::find_if(sources_.begin(), sources_.end(), [&](const OfSource& s) { return s.id == source; });
  if (here == sources_.end()) return;
  if (auto& seen = here->seen[sequence.value % kCompared]; sequence > seen.sequence) {
    seen = {sequence, audio};
    for (OfSource& there : sources_) {
      if (there.id == source) continue;
      compare(*here, there, sequence, now);
      compare(there, *here, sequence, now);
    }
  }
  if (sequence <= here->newest) return;
  const bool paused = now - here->heard_at >= silence_;
  if (here->newest.value == 0 || paused) here->good_since = now;
  here->newest = sequence;
  here->heard_at = now;
}

/// Of one sequence, if both have brought it.
void ActiveSource::compare(OfSource& here, const OfSource& there, Sequence sequence, Time now) {
  const auto &mine = here.seen[sequence.value % kCompared], &theirs = there.seen[sequence.value % kCompared];
  if (mine.sequence != sequence) return;
  if (mine.audio) {
    here.starved = 0;
  } else if (theirs.sequence == sequence && theirs.audio) {
    ++here.starved;
    here.good_since = now;
  }
}

bool ActiveSource::update(Time now) {
  if (!current_ || sources_.size() < 2) return false;
  const std::size_t at = *current_;
  const std::size_t other = 1 - at;
  const bool other_speaks = of(other).newest.value != 0 && now - of(other).heard_at < silence_;
  if (!other_speaks) return false;
  // An empty frame is one where nobody speaks, too; but not while the other source has a voice.
  const bool mute = of(at).starved * frame_ >= silence_ && of(other).starved == 0 && now >= next_for_audio_;
  if (silent(now) || mute) {
    if (mute) next_for_audio_ = now + wire::kSourceHold;  // two that are not aligned must not take turns
    change_to(other, now);
    return true;
  }
  if (other != 0) return false;
  const std::uint64_t apart = of(at).newest > of(other).newest ? of(at).newest.value - of(other).newest.value
                                                               : of(other).newest.value - of(at).newest.value;
  // What is not aligned would be heard as a jump; it waits until it is.
  if (apart * frame_ > wire::kPlayout) sources_[other].good_since = now;
  if (now - of(other).good_since < hold_) return false;
  change_to(other, now);
  returned_ = now;
  return true;
}

void ActiveSource::change_to(std::size_t i, Time now) {
  if (current_ && *current_ == 0) {
    const bool again = returned_ && now - *returned_ < wire::kSourceCalm;
    hold_ = again ? std::min<Duration>(2 * hold_, wire::kSourceMaxHold) : Duration{wire::kSourceHold};
  }
  current_ = i;
  ++changes_;
}

void ActiveSource::take_over(SourceId source, Time now) {
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    if (sources_[i].id != source || current_ == i) continue;
    if (current_) {
      change_to(i, now);
    } else {
      current_ = i;
    }
  }
}

}  // namespace tiercast::forward
