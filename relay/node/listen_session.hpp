// A listener run: sockets, sinks, the terminal's live line, the report. Carries bytes and time; decides nothing about
// the stream.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "relay/net/loop.hpp"
#include "relay/node/listen_outputs.hpp"
#include "relay/node/listener.hpp"
#include "relay/node/uplink_sockets.hpp"

namespace tiercast::node {

class ListenSession {
 public:
  struct Setup {
    Listener::Setup listener;
    std::vector<config::Upstream> edges;  // listener.parents
    config::EdgeList list;                // of other edges that these may name; empty: there is none
    std::vector<std::unique_ptr<ListenSink>> sinks;
    std::optional<Duration> seconds;
    bool live_line = false;  // standard error is a terminal that wants one
    bool quiet = false;
  };
  /// SIGTERM and SIGINT are blocked and end it.
  ListenSession(net::Loop& loop, Setup setup);
  ~ListenSession();
  /// Until the broadcast's attested end, the time given, a signal, a join that fails for good, or nobody is left to
  /// listen for. The exit status.
  int run();
  /// Statistics as JSON.
  std::string report() const;

 private:
  void drain(Moment now);
  void say(const std::string& line) const;
  void show(Moment now, bool last);
  /// Why it makes no sense to go on, if that is so.
  std::optional<Diagnosis> hopeless(Moment now) const;
  net::Loop& loop_;
  Setup setup_;
  std::vector<std::string> names_;
  Moment start_;
  UplinkSockets uplinks_;
  std::unique_ptr<Listener> listener_;
  ListenOutputs outputs_;
  net::Descriptor signals_;
  bool stop_ = false;
  bool warned_ = false;
  Time next_show_, next_refresh_;
};

}  // namespace tiercast::node
