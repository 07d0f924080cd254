// Every block has its owner and size before it: who frees it, and when, may be anybody.
#include "relay/sim/runner/memory.hpp"

#include <cstdlib>
#include <new>

#include "relay/sim/world.hpp"

namespace {

struct Head {
  std::uint64_t owner;  // 0: the network, the listeners, the runner
  std::uint64_t size;
};
static_assert(sizeof(Head) == 16);

std::uint64_t current = 0;  // the trial under way
bool inside = false;
std::int64_t held = 0;

void* allocate(std::size_t size, std::size_t before) noexcept {
  void* block = before == sizeof(Head) ? std::malloc(before + size)
                                       : std::aligned_alloc(before, (before + size + before - 1) / before * before);
  if (block == nullptr) return nullptr;
  auto* memory = static_cast<std::uint8_t*>(block) + before;
  auto* head = reinterpret_cast<Head*>(memory) - 1;
  *head = {inside ? current : 0, size};
  if (inside) held += static_cast<std::int64_t>(size);
  return memory;
}

void release(void* memory, std::size_t before) noexcept {
  if (memory == nullptr) return;
  const auto* head = static_cast<Head*>(memory) - 1;
  if (head->owner != 0 && head->owner == current) held -= static_cast<std::int64_t>(head->size);
  std::free(static_cast<std::uint8_t*>(memory) - before);
}

void* or_throw(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

constexpr std::size_t kPlain = sizeof(Head);
std::size_t before(std::align_val_t alignment) {
  return std::max<std::size_t>(static_cast<std::size_t>(alignment), kPlain);
}

}  // namespace

void* operator new(std::size_t size) { return or_throw(allocate(size, kPlain)); }
void* operator new[](std::size_t size) { return or_throw(allocate(size, kPlain)); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return allocate(size, kPlain); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return allocate(size, kPlain); }
void* operator new(std::size_t size, std::align_val_t align) { return or_throw(allocate(size, before(align))); }
void* operator new[](std::size_t size, std::align_val_t align) { return or_throw(allocate(size, before(align))); }
void operator delete(void* memory) noexcept { release(memory, kPlain); }
void operator delete[](void* memory) noexcept { release(memory, kPlain); }
void operator delete(void* memory, std::size_t) noexcept { release(memory, kPlain); }
void operator delete[](void* memory, std::size_t) noexcept { release(memory, kPlain); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { release(memory, kPlain); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { release(memory, kPlain); }
void operator delete(void* memory, std::align_val_t align) noexcept { release(memory, before(align)); }
void operator delete[](void* memory, std::align_val_t align) noexcept { release(memory, before(align)); }
void operator delete(void* memory, std::size_t, std::align_val_t align) noexcept { release(memory, before(align)); }
void operator delete[](void* memory, std::size_t, std::align_val_t align) noexcept { release(memory, before(align)); }

namespace tiercast::sim {

Memory::Memory() {
  ++current;
  held = 0;
  inside = false;
}
void Memory::enter() { inside = true; }
void Memory::leave() { inside = false; }
std::int64_t Memory::live() { return held; }

void Memory::check(std::size_t parts) {
  if (held > static_cast<std::int64_t>(parts) * kEach)
    throw Violation{"the nodes hold " + std::to_string(held / 1024) + " KiB more than when they started"};
}

}  // namespace tiercast::sim
