// What the eBPF program and the code that drives it share: maps' entries and the program's state. C and C++. Addresses,
// ports and headers are in network byte order; sums are ones'-complement sums (RFC 1071) of 16-bit words as they lie in
// memory, which makes them right on either byte order.
#ifndef TIERCAST_RELAY_NET_XDP_LAYOUT_H
#define TIERCAST_RELAY_NET_XDP_LAYOUT_H

#include <linux/types.h>

#define XDP_CHUNK 256U       // destinations of the table's unit of allocation
#define XDP_CALL_CHUNKS 64U  // chunks that one call can name
#define XDP_DEVICES 64U      // egress devices of one program
#define XDP_WAITING 64U      // more than the kernel keeps back before it gives packets to a device (16, and one)

// One destination of one group.
struct xdp_destination {
  __u32 ip[4];  // IPv4 in the last, as mapped
  __u16 port;
  __u16 sum;  // of the address
  __u32 way;  // index into `ways`
};

// How a destination is reached. Many share one: all behind a gateway; a neighbour on the link has its own.
struct xdp_way {
  __u32 ethernet[3];  // both MAC addresses
  __u16 ethertype;
  __u16 sum;     // of the source address
  __u32 device;  // index into `devices`
  __u32 source[4];
  __u16 tag_protocol;  // IEEE 802.1Q, say; 0: none
  __u16 tag;
};

enum xdp_mode { XDP_MODE_IDLE, XDP_MODE_IPV4, XDP_MODE_IPV6, XDP_MODE_PROBE };

// The program's one global variable. One thread writes `call`, makes the call, and reads the rest.
struct xdp_call {
  __u32 mode;          // of xdp_mode
  __u32 next;          // position, in the chunks named below, of the next destination; the program counts it up
  __u32 end;           // and stops here
  __u32 probe_device;  // index into `devices`, of XDP_MODE_PROBE
  __u32 header[3];     // the IP header up to the addresses; IPv6 has two words. Its checksum is 0 here
  __u16 source_port;
  __u16 udp_length;
  __u32 header_sum;  // of an IPv4 header without addresses
  __u32 udp_sum;     // of payload, UDP header without destination port and checksum, pseudo-header without addresses
  __u32 chunk[XDP_CALL_CHUNKS];
};

struct xdp_state {
  struct xdp_call call;
  // What became of the packets, by the kernel's tracepoint behind every device's queue.
  __u32 sent;
  __u32 dropped;
  __u32 waiting;    // redirected, and not yet told of
  __u32 processor;  // that redirected them
  __s32 error;      // the device's last, negative; 0: none
  // A device whose queue is full drops what it has no room for. Those destinations are tried again at once, while there
  // is budget for it and only one device is in use: packets are told of in the order in which they were redirected.
  __u32 budget;
  __u32 device;
  __u32 mixed;
  __u32 retried;
  __u32 first;               // of `order`, which is a ring of those waiting
  __u32 order[XDP_WAITING];  // positions
  __u32 again_count;
  __u32 again[XDP_WAITING];
};

#endif
