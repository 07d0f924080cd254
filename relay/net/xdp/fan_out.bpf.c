// One frame in, one packet per destination out, below the network stack. The frame comes by BPF_PROG_TEST_RUN with
// BPF_F_TEST_XDP_LIVE_FRAMES and repeat = destinations; each run stamps the next destination's headers on a page of the
// kernel's pool and redirects it to its device. Pages come back with the headers of their last destination, or what
// a device of this machine made of them: everything before the payload is written each time. The payload is not: a
// device of this machine whose far end changes payloads in place (another's XDP program, say) would change it for the
// rest of the call. Network cards only read.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "relay/net/xdp/layout.h"

// Sizes are set before loading.
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, XDP_CHUNK);
  __type(key, __u32);
  __type(value, struct xdp_destination);
} destinations SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct xdp_way);
} ways SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_DEVMAP);
  __uint(max_entries, XDP_DEVICES);
  __type(key, __u32);
  __type(value, __u32);
} devices SEC(".maps");

struct xdp_state state;

#define LOOPBACK 1      // the interface that the kernel runs tests as if received by; its number in every namespace
#define ETHERNET 14     // bytes
#define TAG 4
#define IPV4_HEADER 20  // bytes
#define IPV6_HEADER 40

// An index into a ring; the compiler may not know better than the verifier that it needs no mask.
static __always_inline __u32 within(__u32 index) {
  asm volatile("" : "+r"(index));
  return index & (XDP_WAITING - 1);
}

static __always_inline __u16 fold(__u32 sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return ~sum;
}

static __always_inline int redirect(__u32 device, __u32 position) {
  long action = bpf_redirect_map(&devices, device, 0);
  if (action == XDP_REDIRECT) {
    if (state.waiting == 0) {
      state.device = device;
    } else if (state.device != device) {
      state.mixed = 1;
    }
    state.order[within(state.first + state.waiting)] = position;
    state.waiting++;
    state.processor = bpf_get_smp_processor_id();
  }
  return action;
}

static __always_inline void write_udp(void* at, const struct xdp_destination* to, const struct xdp_way* way) {
  __u16* udp = at;
  __u16 check = fold(state.call.udp_sum + way->sum + to->sum + to->port);
  udp[0] = state.call.source_port;
  udp[1] = to->port;
  udp[2] = state.call.udp_length;
  udp[3] = check ? check : 0xffff;  // 0 means none
}

SEC("xdp") int fan_out(struct xdp_md* context) {
  void* data = (void*)(long)context->data;
  void* end = (void*)(long)context->data_end;
  if (context->ingress_ifindex != LOOPBACK) return XDP_PASS;  // of the device that it is attached to
  if (state.call.mode == XDP_MODE_PROBE) return redirect(state.call.probe_device, 0);

  if (state.call.mode == XDP_MODE_IDLE) return XDP_DROP;
  __u32 position;
  if (state.again_count) {
    position = state.again[within(--state.again_count)];
  } else {
    position = state.call.next;
    if (position >= state.call.end) return XDP_DROP;
    state.call.next = position + 1;
  }
  __u32 slot = state.call.chunk[position / XDP_CHUNK % XDP_CALL_CHUNKS] * XDP_CHUNK + position % XDP_CHUNK;
  struct xdp_destination* to = bpf_map_lookup_elem(&destinations, &slot);
  if (!to) return XDP_DROP;
  __u32 index = to->way;
  struct xdp_way* way = bpf_map_lookup_elem(&ways, &index);
  if (!way) return XDP_DROP;

  __u16* type;
  __u8* ip;
  if (way->tag_protocol) {
    // Room before the packet, which is there again when its page comes back.
    if (bpf_xdp_adjust_head(context, -TAG)) return XDP_DROP;
    data = (void*)(long)context->data;
    end = (void*)(long)context->data_end;
    if (data + ETHERNET + TAG > end) return XDP_DROP;
    type = data + 12;
    type[0] = way->tag_protocol;
    type[1] = way->tag;
    type += 2;
    ip = data + ETHERNET + TAG;
  } else {
    if (data + ETHERNET > end) return XDP_DROP;
    type = data + 12;
    ip = data + ETHERNET;
  }
  *type = way->ethertype;
  __u32* ethernet = data;
  ethernet[0] = way->ethernet[0];
  ethernet[1] = way->ethernet[1];
  ethernet[2] = way->ethernet[2];
  __u32* words = (__u32*)ip;
  if (state.call.mode == XDP_MODE_IPV4) {
    if ((void*)ip + IPV4_HEADER + 8 > end) return XDP_DROP;
    words[0] = state.call.header[0];
    words[1] = state.call.header[1];
    words[2] = state.call.header[2];
    *(__u16*)(ip + 10) = fold(state.call.header_sum + way->sum + to->sum);
    words[3] = way->source[3];
    words[4] = to->ip[3];
    write_udp(ip + IPV4_HEADER, to, way);
  } else {
    if ((void*)ip + IPV6_HEADER + 8 > end) return XDP_DROP;
    words[0] = state.call.header[0];
    words[1] = state.call.header[1];
    words[2] = way->source[0];
    words[3] = way->source[1];
    words[4] = way->source[2];
    words[5] = way->source[3];
    words[6] = to->ip[0];
    words[7] = to->ip[1];
    words[8] = to->ip[2];
    words[9] = to->ip[3];
    write_udp(ip + IPV6_HEADER, to, way);
  }
  return redirect(way->device, position);
}

// The kernel tells here, and nowhere else for every driver, how many of a queue's packets a device has taken.
SEC("raw_tracepoint/xdp_devmap_xmit") int told(struct bpf_raw_tracepoint_args* arguments) {
  // Between a batch's first packet and its last flush nothing else redirects on its processor.
  if (state.waiting == 0 || state.processor != bpf_get_smp_processor_id()) return 0;
  __u32 sent = arguments->args[2];
  __u32 dropped = arguments->args[3];
  __s32 error = arguments->args[4];
  if (error < 0) state.error = error;
  state.sent += sent;
  __u32 all = sent + dropped < state.waiting ? sent + dropped : state.waiting;
  __u32 first = state.first + sent;
  state.first += all;
  state.waiting -= all;
  __u32 again = state.mixed || error < 0 || state.call.mode == XDP_MODE_PROBE ? 0 : dropped;
  if (again > state.budget) again = state.budget;
  for (__u32 i = 0; i < 32 && again; i++, again--) {
    if (state.again_count >= XDP_WAITING) break;
    state.again[within(state.again_count++)] = state.order[within(first + i)];
    state.budget--;
    state.retried++;
    dropped--;
  }
  state.dropped += dropped;
  return 0;
}

char license_[] SEC("license") = "GPL";
