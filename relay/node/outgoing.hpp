// What a group's listeners at one worker are still to be sent: in order, one datagram at a time, in pieces of about a
// millisecond, between which the worker reads its CONTROL. May be spread over time, so that a frame to very many does
// not fill the network card's queue at once. Knows no clock; allocates nothing after listeners have come.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "relay/forward/destinations.hpp"
#include "relay/forward/history.hpp"
#include "relay/wire/packets.hpp"

namespace tiercast::node {

class Outgoing {
 public:
  enum class Kind : std::uint8_t { frame, attestation, opaque, idle };
  struct Item {
    Kind kind = Kind::frame;
    std::uint64_t number = 0;  // in the history: a sequence, or as it numbers the other kinds
    wire::Header idle{};       // the whole of an IDLE
    Time told;                 // when the feed had it
    Time received{};           // when a frame's datagram came to this node
  };

  explicit Outgoing(const forward::History& history) : history_(history) {}

  /// `tables`: one a socket. `spread`: how long sending a datagram takes at least; 0: as long as it takes.
  void open(std::vector<std::unique_ptr<forward::FanOut>> tables, Duration spread);
  /// Gives the tables up; nothing is sent any more.
  void close() { open({}, {}); }
  forward::Destinations& listeners(std::size_t socket) { return listeners_[socket]; }
  /// How many, at all sockets.
  std::size_t size() const;

  /// False: as many wait as may; nobody gets it.
  bool add(const Item& item);
  /// When there is something to send; kNever: until more is added.
  Time due() const { return under_way_ ? next_ : waiting_ > 0 ? Time{} : kNever; }

  enum class Step : std::uint8_t {
    sent,      // some; more of it is left
    finished,  // the last of it
    late,      // nobody gets it: it waited longer than listeners do
    gone,      // nobody gets it: the history has it no more
  };
  /// When something is due: a piece of it. Adds to `result`.
  Step step(forward::FanOutResult& result, Time now);
  /// What the last step() was about.
  const Item& current() const { return current_; }
  bool under_way() const { return under_way_; }

 private:
  static constexpr std::size_t kWaiting = 128;  // more than listeners wait for, of the shortest frames
  static constexpr Duration kTick = std::chrono::milliseconds{1};
  bool begin();
  void start_table(std::size_t from);
  std::size_t allowed(Time now) const;

  const forward::History& history_;
  Duration spread_{};
  std::vector<forward::Destinations> listeners_;
  std::array<Item, kWaiting> items_{};
  std::size_t first_ = 0, waiting_ = 0;

  bool under_way_ = false;
  Item current_;
  forward::SlotRing::Pin pin_;
  std::array<std::uint8_t, wire::kHeader> idle_{};
  Bytes datagram_;
  std::size_t socket_ = 0;  // whose listeners are being sent to
  std::size_t done_ = 0, total_ = 0;
  Time started_, next_;
};

}  // namespace tiercast::node
