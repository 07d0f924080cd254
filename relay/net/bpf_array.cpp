#include "relay/net/bpf_array.hpp"

#include <sys/mman.h>
#include <unistd.h>

namespace tiercast::net {

BpfMapping::~BpfMapping() {
  if (memory_ != nullptr) munmap(memory_, bytes_);
}

bool BpfMapping::map(int fd, std::size_t bytes) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  bytes_ = (bytes + page - 1) / page * page;
  void* const at = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return false;
  memory_ = at;
  return true;
}

}  // namespace tiercast::net
