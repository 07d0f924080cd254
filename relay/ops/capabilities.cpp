#include "relay/ops/capabilities.hpp"

#include <sys/capability.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

namespace tiercast::ops {

std::string drop_bpf_capabilities() {
  constexpr std::array<cap_value_t, 3> kDropped{CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON};
  const auto failed = [] { return std::string{std::strerror(errno)}; };
  struct Free {
    void operator()(cap_t caps) const { cap_free(caps); }
  };
  const std::unique_ptr<_cap_struct, Free> caps{cap_get_proc()};
  if (!caps) return failed();
  // Who has none of them may not even be let call capset(2).
  bool any = false;
  for (const cap_value_t value : kDropped) {
    cap_flag_value_t has = CAP_CLEAR;
    any = any || (cap_get_flag(caps.get(), value, CAP_PERMITTED, &has) == 0 && has == CAP_SET);
  }
  if (!any) return {};
  // The ambient ones go by themselves with the inheritable ones.
  for (const cap_flag_t set : {CAP_EFFECTIVE, CAP_PERMITTED, CAP_INHERITABLE})
    if (cap_set_flag(caps.get(), set, kDropped.size(), kDropped.data(), CAP_CLEAR) != 0) return failed();
  return cap_set_proc(caps.get()) == 0 ? std::string{} : failed();
}

}  // namespace tiercast::ops
