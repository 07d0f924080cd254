// A send backend whose sends are a call: what a simulated network, and tests, put in the place of relay/net's.
#pragma once

#include <cassert>
#include <functional>
#include <vector>

#include "relay/forward/fan_out.hpp"

namespace tiercast::sim {

struct FanOutTable : forward::FanOut {
  struct Entry {
    Endpoint to;
    LocalAddress from;
    bool got = true;  // what is under way
  };
  using Send = std::function<void(const Entry&, Bytes)>;
  explicit FanOutTable(Send f, std::size_t n = 1024) : send_one(std::move(f)), at_once(n) {}

  std::size_t size() const override { return entries.size(); }
  void set(std::size_t index, const Endpoint& to, const LocalAddress& from) override {
    assert(index <= entries.size());
    if (index == entries.size()) entries.push_back({{}, {}, true});
    entries[index].to = to;
    entries[index].from = from;
  }
  void remove(std::size_t index) override {
    assert(index < entries.size());
    entries[index] = entries.back();
    entries.pop_back();
  }
  void start(Bytes what) override {
    ++starts;
    datagram = what;
    for (Entry& entry : entries) entry.got = false;
  }
  bool advance(std::size_t most, forward::FanOutResult& result) override {
    for (Entry& entry : entries) {
      if (entry.got) continue;
      if (most == 0) return true;
      --most;
      entry.got = true;
      send_one(entry, datagram);
      ++result.sent;
    }
    return false;
  }
  std::size_t piece() const override { return at_once; }

  std::vector<Entry> entries;
  Send send_one;
  std::size_t at_once;
  Bytes datagram;
  unsigned starts = 0;
};

}  // namespace tiercast::sim
