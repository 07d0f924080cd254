// The elements of an eBPF array map as memory of this process.
#pragma once

#include <cstddef>
#include <span>

namespace tiercast::net {

/// Mapped for as long as it is there. The map is made with BPF_F_MMAPABLE; the kernel places its elements at multiples
/// of 8 bytes.
class BpfMapping {
 public:
  BpfMapping() = default;
  ~BpfMapping();
  BpfMapping(const BpfMapping&) = delete;
  BpfMapping& operator=(const BpfMapping&) = delete;
  /// Once. False: errno says why not.
  bool map(int fd, std::size_t bytes);

 protected:
  void* memory() const { return memory_; }

 private:
  void* memory_ = nullptr;
  std::size_t bytes_ = 0;  // whole pages
};

template <class T>
class BpfArray : public BpfMapping {
 public:
  bool map(int fd, std::size_t count) {
    count_ = count;
    return BpfMapping::map(fd, count * sizeof(T));
  }
  T& operator[](std::size_t index) const { return static_cast<T*>(memory())[index]; }
  std::span<T> elements() const { return {static_cast<T*>(memory()), count_}; }

 private:
  std::size_t count_ = 0;
};

}  // namespace tiercast::net
