// What the eBPF program of `tiercast load` and the code that loads it share. C and C++. Numbers are in host order;
// addresses are two halves of 64 bits of the 16 bytes, IPv4 as mapped (RFC 4291 §2.5.5.2).
#ifndef TIERCAST_RELAY_MEASURE_LOAD_FILTER_H
#define TIERCAST_RELAY_MEASURE_LOAD_FILTER_H

#include "relay/measure/load_account.h"

struct load_address {
  __u64 high;
  __u64 low;
};

// Which datagrams are counted. Set before the program is loaded.
struct load_filter {
  struct load_address edge;   // they come from here
  struct load_address first;  // the first listener's address; the others follow
  __u32 listeners;
  __u32 group;
  __u16 edge_port;
  __u16 port;  // every listener's
};

#endif
