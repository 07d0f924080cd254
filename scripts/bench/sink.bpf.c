// The far end of scripts/bench/compare: drops what streams, below the network stack, and counts it. What belongs to a
// lease or a join (byte 0 below 0x20), and TCP, goes on to whoever listens there.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} delivered SEC(".maps");

SEC("xdp")
int sink(struct xdp_md* context) {
  const __u8* at = (void*)(long)context->data;
  const __u8* end = (void*)(long)context->data_end;
  const struct ethhdr* ethernet = (void*)at;
  const struct iphdr* ip = (void*)(ethernet + 1);
  const struct udphdr* udp = (void*)(ip + 1);
  const __u8* payload = (void*)(udp + 1);
  if (payload + 1 > end || ethernet->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5 || ip->protocol != IPPROTO_UDP ||
      *payload < 0x20)
    return XDP_PASS;
  __u32 key = 0;
  __u64* count = bpf_map_lookup_elem(&delivered, &key);
  if (count) ++*count;
  return XDP_DROP;
}

char licence[] SEC("license") = "GPL";
