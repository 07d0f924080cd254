#include "relay/measure/load_counter.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>

#include <cerrno>
#include <cstring>

#include "relay/base/bytes.hpp"
#include "relay/base/exit_code.hpp"

// The compiled program; the Makefile says where it lies.
asm(R"(
  .section .rodata
  .balign 8
  tiercast_load_count_bpf: .incbin "load_count.bpf.o"
  tiercast_load_count_bpf_end:
  .previous
)");
extern "C" {
extern const std::uint8_t tiercast_load_count_bpf[];
extern const std::uint8_t tiercast_load_count_bpf_end[];
}

namespace tiercast::measure {
namespace {

static_assert(sizeof(load_account) == 64, "one cache line, and as the kernel places elements");

load_address address(const Endpoint& endpoint) {
  return {load_be<8>(endpoint.ip.data()), load_be<8>(endpoint.ip.data() + 8)};
}

tl::unexpected<net::Error> refusal(const std::string& interface, const char* what, int number) {
  std::string text = "--count-on " + interface + ": cannot " + what + ": " + std::strerror(number);
  if (number == EPERM || number == EACCES) text += "; it needs CAP_BPF and CAP_NET_ADMIN";
  if (number == EBUSY)
    text += "; another XDP program is there, which `ip link set dev " + interface + " xdp off` removes";
  return tl::unexpected(net::Error{std::move(text), ExitCode::os});
}

}  // namespace

tl::expected<std::unique_ptr<LoadCounter>, net::Error> LoadCounter::attach(const LoadCounterSetup& setup) {
  const unsigned interface = if_nametoindex(setup.interface.c_str());
  if (interface == 0)
    return tl::unexpected(net::Error{
        "--count-on " + setup.interface + ": no such interface; `ip link` lists those there are", ExitCode::usage});
  std::unique_ptr<LoadCounter> out{new LoadCounter};
  libbpf_set_print(nullptr);  // the errno is told below
  const auto size = static_cast<std::size_t>(tiercast_load_count_bpf_end - tiercast_load_count_bpf);
  LIBBPF_OPTS(bpf_object_open_opts, open_options);
  open_options.object_name = "tiercast_load";
  out->object_ = bpf_object__open_mem(tiercast_load_count_bpf, size, &open_options);
  if (out->object_ == nullptr) return refusal(setup.interface, "read its program", errno);
  bpf_map* const accounts = bpf_object__find_map_by_name(out->object_, "accounts");
  if (int failed = bpf_map__set_max_entries(accounts, setup.listeners); failed != 0)
    return refusal(setup.interface, "size its table", -failed);
  load_filter filter{};
  filter.edge = address(setup.edge);
  filter.first = address(setup.first);
  filter.listeners = setup.listeners;
  filter.group = setup.group;
  filter.edge_port = setup.edge.port;
  filter.port = setup.first.port;
  bpf_map* const constants = bpf_object__find_map_by_name(out->object_, ".rodata");
  if (int failed = bpf_map__set_initial_value(constants, &filter, sizeof filter); failed != 0)
    return refusal(setup.interface, "set its filter", -failed);
  if (int failed = bpf_object__load(out->object_); failed != 0)
    return refusal(setup.interface, "load its program", -failed);

  if (!out->accounts_.map(bpf_map__fd(accounts), setup.listeners))
    return refusal(setup.interface, "map its table", errno);

  const int program = bpf_program__fd(bpf_object__find_program_by_name(out->object_, "count_frames"));
  LIBBPF_OPTS(bpf_link_create_opts, link_options);
  link_options.flags = XDP_FLAGS_DRV_MODE;
  out->native_ = true;
  out->attachment_ = net::Descriptor{bpf_link_create(program, static_cast<int>(interface), BPF_XDP, &link_options)};
  if (!out->attachment_ && errno != EBUSY && errno != EPERM) {
    link_options.flags = XDP_FLAGS_SKB_MODE;
    out->native_ = false;
    out->attachment_ = net::Descriptor{bpf_link_create(program, static_cast<int>(interface), BPF_XDP, &link_options)};
  }
  if (!out->attachment_) return refusal(setup.interface, "attach its program", errno);
  return out;
}

LoadCounter::~LoadCounter() {
  attachment_.reset();
  bpf_object__close(object_);
}

}  // namespace tiercast::measure
