#include "relay/node/listen_outputs.hpp"

#include <algorithm>
#include <utility>

#include "relay/base/exit_code.hpp"

namespace tiercast::node {
namespace {

using State = OutputStatus::State;

}  // namespace

ListenOutputs::ListenOutputs(std::vector<std::unique_ptr<ListenSink>> sinks, bool quiet, Say say)
    : quiet_(quiet), say_(std::move(say)) {
  for (auto& sink : sinks) outputs_.push_back({std::move(sink)});
}

void ListenOutputs::begin(std::chrono::milliseconds frame, Moment now) {
  if (std::exchange(begun_, true)) return;
  for (const Output& output : outputs_) output.sink->begin(frame, now.wall);
}

void ListenOutputs::on_ahead(const receive::Played& played, std::chrono::milliseconds frame, Moment now) {
  begin(frame, now);
  for (const Output& output : outputs_) output.sink->on_ahead(played, now);
}

void ListenOutputs::on_played(const receive::Played& played, std::chrono::milliseconds frame, Moment now) {
  begin(frame, now);
  for (const Output& output : outputs_) output.sink->on_played(played, now);
}

void ListenOutputs::on_turn(Moment now) {
  for (const Output& output : outputs_) output.sink->on_turn(now);
  tell();
}

Time ListenOutputs::next_deadline() const {
  Time next = kNever;
  for (const Output& output : outputs_) next = std::min(next, output.sink->next_deadline());
  return next;
}

bool ListenOutputs::idle() const {
  return std::all_of(outputs_.begin(), outputs_.end(), [](const Output& output) { return output.sink->idle(); });
}

std::optional<PlayerFigures> ListenOutputs::player(Time now) const {
  for (const Output& output : outputs_)
    if (const auto figures = output.sink->player(now)) return figures;
  return std::nullopt;
}

bool ListenOutputs::all_gone() const {
  const auto audio = [](const Output& output) { return output.sink->audio(); };
  const auto open = [&](const Output& output) { return audio(output) && output.sink->status().state == State::open; };
  return std::any_of(outputs_.begin(), outputs_.end(), audio) && std::none_of(outputs_.begin(), outputs_.end(), open);
}

void ListenOutputs::finish() {
  for (const Output& output : outputs_) output.sink->finish();
  tell();
}

int ListenOutputs::exit_code() const {
  const auto failed = [](const Output& output) { return output.sink->status().state == State::failed; };
  return std::any_of(outputs_.begin(), outputs_.end(), failed) ? ExitCode::io : ExitCode::ok;
}

void ListenOutputs::tell() {
  for (Output& output : outputs_) {
    const OutputStatus& status = output.sink->status();
    if (status.dropped > 0 && !std::exchange(output.told_slow, true) && !quiet_)
      say_(status.name + " is read too slowly: the oldest of what waits is left out");
    if (status.state == State::open || std::exchange(output.told_end, true)) continue;
    if (status.state == State::failed) say_("cannot write to " + status.name + " any further: " + status.why);
    if (status.state == State::reader_gone && !quiet_) say_("nobody reads " + status.name + " any more");
  }
}

}  // namespace tiercast::node
