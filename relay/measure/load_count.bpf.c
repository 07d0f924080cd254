// Counts the frames of `tiercast load`'s listeners below the network stack, by destination address, and drops what it
// has counted: more come in than sockets can take. FRAME, ATTEST and IDLE from the edge's address and port to a listener
// are its own; those to a sampled listener go up as well. Everything else goes up untouched: handshakes, CONTROL, other
// groups, other senders, VLANs, fragments, IP options and extension headers. UDP checksums are not looked at. All offsets
// are constants: others the kernel takes with CAP_PERFMON only.
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "relay/measure/load_filter.h"

// One entry a listener; sized before loading.
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct load_account);
} accounts SEC(".maps");

const volatile struct load_filter filter = {};

#define ETHERNET 14  // bytes
#define IPV4_HEADER 20
#define IPV6_HEADER 40
#define UDP_HEADER 8
#define UDP 17
#define FRAGMENT 0x3fff  // of an IPv4 header's flags and offset: it is one

#define FRAME 0x20
#define ATTEST 0x22
#define IDLE 0x23
#define HEADER 16     // bytes, of all three
#define MIN_FRAME 32  // with tag
#define MIN_ATTEST 97
#define JUMPS 0x02  // flag

static __always_inline __u64 half(const void* at) {
  const __u32* words = at;
  return (__u64)bpf_ntohl(words[0]) << 32 | bpf_ntohl(words[1]);
}

static __always_inline struct load_address mapped(const void* at) {
  const __u32* word = at;
  struct load_address out = {0, 0xffffULL << 32 | bpf_ntohl(*word)};
  return out;
}

SEC("xdp") int count_frames(struct xdp_md* context) {
  const __u8* data = (void*)(long)context->data;
  const __u8* end = (void*)(long)context->data_end;
  if (data + ETHERNET + IPV4_HEADER > end) return XDP_PASS;
  struct load_address from, to;
  const __u8* udp;
  __u16 ethertype = bpf_ntohs(*(const __u16*)(data + 12));
  const __u8* ip = data + ETHERNET;
  __u32 before = ETHERNET + UDP_HEADER;
  if (ethertype == 0x0800) {
    if (ip[0] != 0x45 || ip[9] != UDP || bpf_ntohs(*(const __u16*)(ip + 6)) & FRAGMENT) return XDP_PASS;
    from = mapped(ip + 12);
    to = mapped(ip + 16);
    udp = ip + IPV4_HEADER;
    before += IPV4_HEADER;
  } else if (ethertype == 0x86dd) {
    if (ip + IPV6_HEADER > end || ip[6] != UDP) return XDP_PASS;
    from.high = half(ip + 8);
    from.low = half(ip + 16);
    to.high = half(ip + 24);
    to.low = half(ip + 32);
    udp = ip + IPV6_HEADER;
    before += IPV6_HEADER;
  } else {
    return XDP_PASS;
  }
  const __u8* payload = udp + UDP_HEADER;
  if (payload + HEADER > end) return XDP_PASS;
  if (from.high != filter.edge.high || from.low != filter.edge.low) return XDP_PASS;
  if (bpf_ntohs(*(const __u16*)udp) != filter.edge_port || bpf_ntohs(*(const __u16*)(udp + 2)) != filter.port)
    return XDP_PASS;
  if (to.high != filter.first.high || to.low - filter.first.low >= filter.listeners) return XDP_PASS;
  __u32 listener = (__u32)(to.low - filter.first.low);

  __u32 length = bpf_ntohs(*(const __u16*)(udp + 4));
  __u32 group = (__u32)payload[3] << 16 | (__u32)payload[4] << 8 | payload[5];
  if (length < UDP_HEADER + HEADER || group != filter.group) return XDP_PASS;
  length -= UDP_HEADER;
  if (before + length > bpf_xdp_get_buff_len(context)) return XDP_PASS;
  struct load_account* account = bpf_map_lookup_elem(&accounts, &listener);
  if (!account) return XDP_PASS;
  if (payload[0] == FRAME && length >= MIN_FRAME) {
    __u64 sequence = (__u64)bpf_ntohs(*(const __u16*)(payload + 10)) << 32 | bpf_ntohl(*(const __u32*)(payload + 12));
    if (sequence == 0) return XDP_PASS;
    load_count(account, sequence, payload[1] & JUMPS);
  } else if (payload[0] == ATTEST && length >= MIN_ATTEST) {
    account->attests++;
  } else if (payload[0] == IDLE && length == HEADER) {
    account->idles++;
  } else {
    return XDP_PASS;
  }
  return account->flags & LOAD_PASS ? XDP_PASS : XDP_DROP;
}

char license_[] SEC("license") = "GPL";
