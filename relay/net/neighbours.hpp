// Routes, next hops' MAC addresses and links as the kernel knows them, asked for once and then kept current by its
// notifications (rtnetlink). Knows no destination table.
#pragma once

#include <map>
#include <tl/expected.hpp>

#include "relay/base/counter.hpp"
#include "relay/net/descriptor.hpp"
#include "relay/net/error.hpp"
#include "relay/net/rtnetlink.hpp"

namespace tiercast::net {

struct NeighbourCounters {
  Counter questions;
  Counter unanswered;
  Counter notifications;  // read in one go each
  Counter lost;           // notifications came faster than they were read; all is asked for again
  Counter malformed;
  template <class F>
  void each(F&& f) const {
    f("neighbour_questions", questions);
    f("neighbour_unanswered", unanswered);
    f("neighbour_notifications", notifications);
    f("neighbour_lost", lost);
    f("neighbour_drop_malformed", malformed);
  }
};

/// Of the network namespace that it was opened in. Used by one thread; asking takes some microseconds and never waits.
class Neighbours {
 public:
  static tl::expected<Neighbours, Error> open();

  /// nullopt: there is none.
  std::optional<Route> route(const RouteQuestion& question);

  /// What is known of a next hop; asked for when first needed. forget() ends that.
  const Neighbour& neighbour(std::uint32_t interface, const IpAddress& ip);
  void forget(std::uint32_t interface, const IpAddress& ip) { neighbours_.erase({interface, ip}); }
  /// Not running where there is none.
  const Link& link(std::uint32_t interface);

  struct Changes {
    bool routes = false;  // or addresses; what route() said may be otherwise now
    // Of those that were asked for:
    bool neighbours = false;
    bool links = false;  // or what is not held of one, its driver's settings say
  };
  /// Takes in what the kernel has told since. One system call when that is nothing.
  Changes poll();

  /// Readable when poll() has something to do.
  int fd() const { return notifications_.get(); }
  const NeighbourCounters& counters() const { return counters_; }

 private:
  using Key = std::pair<std::uint32_t, IpAddress>;
  Neighbours(Descriptor questions, Descriptor notifications)
      : questions_(std::move(questions)), notifications_(std::move(notifications)) {}
  template <class Parse>
  auto ask(const std::vector<std::uint8_t>& question, std::uint16_t answer, Parse parse) -> decltype(parse(Bytes{}));
  Neighbour ask_neighbour(const Key& key);
  Link ask_link(std::uint32_t interface);
  void take_in(Bytes notifications, Changes& changes);
  void ask_all_again();

  Descriptor questions_;
  Descriptor notifications_;
  std::uint32_t sequence_ = 0;
  std::map<Key, Neighbour> neighbours_;
  std::map<std::uint32_t, Link> links_;
  NeighbourCounters counters_;
};

}  // namespace tiercast::net
