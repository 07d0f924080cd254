// All the ways out of one listener together: tells each every tick, says once what became of it, and knows when none is
// left to listen for.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "relay/node/listen_sinks.hpp"

namespace tiercast::node {

class ListenOutputs {
 public:
  /// A line for a person.
  using Say = std::function<void(const std::string&)>;
  /// `quiet`: only failures are told.
  ListenOutputs(std::vector<std::unique_ptr<ListenSink>> sinks, bool quiet, Say say);

  void on_played(const receive::Played& played, std::chrono::milliseconds frame, Moment now);
  /// A tick before its turn.
  void on_ahead(const receive::Played& played, std::chrono::milliseconds frame, Moment now);
  /// After every turn of the loop.
  void on_turn(Moment now);
  Time next_deadline() const;
  /// Nothing is still to be played.
  bool idle() const;
  /// Of the first output that plays.
  std::optional<PlayerFigures> player(Time now) const;
  /// There was audio to be put out, and no such output is open any more.
  bool all_gone() const;
  /// May take some seconds where readers are slow.
  void finish();
  /// ExitCode::io if any of them failed. A reader that went away is no failure.
  int exit_code() const;
  /// f(const ListenSink&) for each.
  template <class F>
  void each(F&& f) const {
    for (const Output& output : outputs_) f(*output.sink);
  }

 private:
  struct Output {
    std::unique_ptr<ListenSink> sink;
    bool told_slow = false;
    bool told_end = false;
  };
  void begin(std::chrono::milliseconds frame, Moment now);
  void tell();

  std::vector<Output> outputs_;
  const bool quiet_;
  const Say say_;
  bool begun_ = false;
};

}  // namespace tiercast::node
