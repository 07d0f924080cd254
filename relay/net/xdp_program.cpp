#include "relay/net/xdp_program.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

// The compiled program; the Makefile says where it lies.
asm(R"(
  .section .rodata
  .balign 8
  tiercast_fan_out_bpf: .incbin "fan_out.bpf.o"
  tiercast_fan_out_bpf_end:
  .previous
)");
extern "C" {
extern const std::uint8_t tiercast_fan_out_bpf[];
extern const std::uint8_t tiercast_fan_out_bpf_end[];
}

namespace tiercast::net {
namespace {

/// What libbpf last complained of while this thread loads a program: it says more than an errno.
thread_local std::string complaint;

int keep_complaint(libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN) return 0;
  std::array<char, 512> line{};
  const int size = std::vsnprintf(line.data(), line.size(), format, arguments);
  if (size <= 0 || !complaint.empty()) return 0;  // the first is the cause
  complaint = line.data();
  complaint.erase(std::find(complaint.begin(), complaint.end(), '\n'), complaint.end());
  return 0;
}

Error error(const char* what, int number) {
  std::string text = std::string{"xdp: cannot "} + what + ": " + std::strerror(number);
  if (!complaint.empty()) text += " (" + complaint + ")";
  if (number == EPERM || number == EACCES) text += "; it needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN";
  return {std::move(text), 71};
}

/// A network device that goes with its descriptor.
Descriptor open_tap(std::uint32_t& interface) {
  Descriptor tap{::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK)};
  ifreq request{};
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  std::strcpy(request.ifr_name, "tiercast%d");
  if (!tap || ::ioctl(tap.get(), TUNSETIFF, &request) != 0) return {};
  interface = if_nametoindex(request.ifr_name);
  if (interface == 0) return {};
  return tap;
}

// Destinations whose device had no room are tried again, up to so many times a call's number of them: a device that is
// slower than we are has time to catch up. Where that is not enough it stands still, and trying only costs time: half
// as much then, until once it was enough again.
constexpr std::uint32_t kMostTries = 8, kLeastTries = 1;

}  // namespace

tl::expected<std::unique_ptr<XdpProgram>, Error> XdpProgram::load(const XdpOptions& options) {
  std::unique_ptr<XdpProgram> out{new XdpProgram{options}};
  complaint.clear();
  libbpf_set_print(keep_complaint);
  if (auto done = out->set_up(); !done) return tl::unexpected(done.error());
  if (auto done = out->attach(); !done) return tl::unexpected(done.error());
  return out;
}

XdpProgram::~XdpProgram() {
  attachment_.reset();  // before its device: nothing is then left to be told of it
  bpf_link__destroy(tracepoint_);
  bpf_object__close(object_);
}

tl::expected<void, Error> XdpProgram::set_up() {
  options_.destinations = std::max(options_.destinations, 1U);
  options_.destinations = (options_.destinations - 1) / XDP_CHUNK * XDP_CHUNK + XDP_CHUNK;
  options_.ways = std::max(options_.ways, 1U);
  LIBBPF_OPTS(bpf_object_open_opts, open_options);
  open_options.object_name = "tiercast";
  object_ = bpf_object__open_mem(
      tiercast_fan_out_bpf, static_cast<std::size_t>(tiercast_fan_out_bpf_end - tiercast_fan_out_bpf), &open_options);
  if (object_ == nullptr) return tl::unexpected(error("read its program", errno));
  bpf_map* const destinations = bpf_object__find_map_by_name(object_, "destinations");
  bpf_map* const ways = bpf_object__find_map_by_name(object_, "ways");
  if (int failed = bpf_map__set_max_entries(destinations, options_.destinations); failed != 0)
    return tl::unexpected(error("size its tables", -failed));
  if (int failed = bpf_map__set_max_entries(ways, options_.ways); failed != 0)
    return tl::unexpected(error("size its tables", -failed));
  if (int failed = bpf_object__load(object_); failed != 0) return tl::unexpected(error("load its program", -failed));
  static_assert(sizeof(xdp_destination) % 8 == 0 && sizeof(xdp_way) % 8 == 0);
  const auto fd = [this](const char* map) { return bpf_object__find_map_fd_by_name(object_, map); };
  if (!destinations_.map(fd("destinations"), options_.destinations) || !ways_.map(fd("ways"), options_.ways) ||
      !state_memory_.map(fd(".bss"), 1))
    return tl::unexpected(error("map its tables", errno));
  state_ = &state_memory_[0];
  program_ = bpf_program__fd(bpf_object__find_program_by_name(object_, "fan_out"));
  devices_map_ = fd("devices");
  if (program_ < 0 || devices_map_ < 0) return tl::unexpected(error("find its own parts", ENOENT));
  for (std::uint32_t chunk = options_.destinations / XDP_CHUNK; chunk-- > 0;) free_chunks_.push_back(chunk);
  return {};
}

tl::expected<void, Error> XdpProgram::attach() {
  tracepoint_ = bpf_program__attach(bpf_object__find_program_by_name(object_, "told"));
  if (tracepoint_ == nullptr) return tl::unexpected(error("watch what devices take", errno));
  // The kernel keeps a table of programs that are attached somewhere. One that is not would be put in and out by every
  // single call, each of which then waits some 24 ms for an RCU grace period.
  std::uint32_t interface = 0;
  tap_ = open_tap(interface);
  if (!tap_) return tl::unexpected(error("make a device of its own with /dev/net/tun", errno));
  LIBBPF_OPTS(bpf_link_create_opts, link_options);
  link_options.flags = XDP_FLAGS_DRV_MODE;
  attachment_ = Descriptor{bpf_link_create(program_, static_cast<int>(interface), BPF_XDP, &link_options)};
  if (!attachment_) return tl::unexpected(error("attach its program", errno));
  return {};
}

std::optional<std::uint32_t> XdpProgram::take_chunk() {
  if (free_chunks_.empty()) return std::nullopt;
  const std::uint32_t chunk = free_chunks_.back();
  free_chunks_.pop_back();
  return chunk;
}

std::optional<std::uint32_t> XdpProgram::device(std::uint32_t interface) {
  if (interface == 0) return std::nullopt;
  auto at = std::find(devices_.begin(), devices_.end(), interface);
  if (at == devices_.end()) {
    at = std::find(devices_.begin(), devices_.end(), 0U);
    if (at == devices_.end()) {
      if (devices_.size() == XDP_DEVICES) return std::nullopt;
      at = devices_.insert(at, 0U);
    }
    const auto index = static_cast<std::uint32_t>(at - devices_.begin());
    if (bpf_map_update_elem(devices_map_, &index, &interface, BPF_ANY) != 0) return std::nullopt;
    *at = interface;
  }
  return static_cast<std::uint32_t>(at - devices_.begin());
}

void XdpProgram::forget_device(std::uint32_t interface) {
  const auto at = std::find(devices_.begin(), devices_.end(), interface);
  if (interface == 0 || at == devices_.end()) return;
  const auto index = static_cast<std::uint32_t>(at - devices_.begin());
  bpf_map_delete_elem(devices_map_, &index);  // not there: the kernel has done it with the device
  *at = 0;
}

int XdpProgram::call_kernel(Bytes packet, std::uint32_t repeat) {
  LIBBPF_OPTS(bpf_test_run_opts, run);
  run.data_in = packet.data();
  run.data_size_in = static_cast<std::uint32_t>(packet.size());
  run.repeat = static_cast<int>(repeat);
  run.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
  counters_.calls.add();
  return -bpf_prog_test_run_opts(program_, &run);
}

void XdpProgram::clear_outcome() {
  state_->sent = 0;
  state_->dropped = 0;
  state_->waiting = 0;
  state_->error = 0;
  state_->mixed = 0;
  state_->first = 0;
  state_->again_count = 0;
  state_->retried = 0;
  state_->budget = 0;
}

XdpProgram::Outcome XdpProgram::run(Bytes packet, const xdp_call& call, std::uint32_t first) {
  std::memcpy(const_cast<xdp_call*>(&state_->call), &call, sizeof call);
  state_->call.next = first;
  clear_outcome();
  state_->budget = (call.end - first) * tries_;
  int failed = 0;
  while (state_->call.next < call.end || state_->again_count > 0) {
    const std::uint32_t left = call.end - state_->call.next + state_->again_count;
    const std::uint32_t budget = state_->budget;
    failed = call_kernel(packet, left);
    // A signal is looked for after a batch, never before the first.
    const bool got_on = call.end - state_->call.next + state_->again_count < left || state_->budget < budget;
    if (failed == EINTR) counters_.interrupted.add();
    if (got_on && (failed == 0 || failed == EINTR)) continue;
    if (failed != 0) counters_.refused.add();
    break;
  }
  counters_.retried.add(state_->retried);
  tries_ = state_->dropped > 0 ? std::max(tries_ / 2, kLeastTries) : std::min(tries_ * 2, kMostTries);
  state_->call.mode = XDP_MODE_IDLE;
  state_->waiting = 0;
  return {state_->call.next - first, state_->sent, failed != 0 ? failed : -state_->error, state_->dropped};
}

XdpProgram::Outcome XdpProgram::probe(Bytes packet, std::uint32_t device) {
  state_->call.mode = XDP_MODE_PROBE;
  state_->call.probe_device = device;
  clear_outcome();
  const int failed = call_kernel(packet, 1);
  state_->call.mode = XDP_MODE_IDLE;
  state_->waiting = 0;
  return {1, state_->sent, failed != 0 ? failed : -state_->error, state_->dropped};
}

}  // namespace tiercast::net
