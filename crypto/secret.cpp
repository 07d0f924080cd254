#include "crypto/secret.hpp"

#include <sodium.h>

#include <algorithm>
#include <mutex>
#include <new>
#include <utility>

namespace tiercast::crypto {
namespace {

constexpr std::size_t kCell = 64;
constexpr std::size_t kSlab = 1024 * kCell;

/// sodium_malloc costs 28 µs (as much as a Diffie-Hellman) and four mappings, of which a process may have 65,530: a
/// node with a hundred thousand secrets, or a handshake with six, cannot take one each. So small secrets are cells of
/// guarded slabs. Slabs stay until the process ends; free cells hold nothing but the free list.
class Cells {
 public:
  std::uint8_t* take() {
    const std::lock_guard lock(mutex_);
    if (free_ == nullptr) grow();
    std::uint8_t* cell = free_;
    std::memcpy(&free_, cell, sizeof free_);
    std::fill_n(cell, sizeof free_, std::uint8_t{0});
    return cell;
  }

  void give_back(std::uint8_t* cell) {
    sodium_memzero(cell, kCell);
    const std::lock_guard lock(mutex_);
    std::memcpy(cell, &free_, sizeof free_);
    free_ = cell;
  }

 private:
  void grow() {
    auto* slab = static_cast<std::uint8_t*>(sodium_malloc(kSlab));
    if (slab == nullptr) throw std::bad_alloc();
    std::memset(slab, 0, kSlab);
    for (std::size_t at = kSlab; at != 0; at -= kCell) {
      std::uint8_t* cell = slab + at - kCell;
      std::memcpy(cell, &free_, sizeof free_);
      free_ = cell;
    }
  }

  std::mutex mutex_;
  std::uint8_t* free_ = nullptr;
};

Cells& cells() {
  static Cells* all = new Cells;  // never destroyed: secrets of static storage may outlive anything
  return *all;
}

void release(std::uint8_t* data, std::size_t size) {
  if (data == nullptr) return;
  if (size <= kCell) {
    cells().give_back(data);
  } else {
    sodium_free(data);  // wipes
  }
}

}  // namespace

bool initialise() { return sodium_init() >= 0; }

void wipe(MutableBytes secret) {
  if (!secret.empty()) sodium_memzero(secret.data(), secret.size());
}

bool equal(Bytes a, Bytes b) {
  return a.size() == b.size() && (a.empty() || sodium_memcmp(a.data(), b.data(), a.size()) == 0);
}

SecretMemory::SecretMemory(std::size_t size) : data_(nullptr), size_(size) {
  if (size <= kCell) {
    data_ = cells().take();
    return;
  }
  data_ = static_cast<std::uint8_t*>(sodium_malloc(size));
  if (data_ == nullptr) throw std::bad_alloc();
  std::memset(data_, 0, size);  // sodium_malloc fills with junk
}

SecretMemory::~SecretMemory() { release(data_, size_); }

SecretMemory::SecretMemory(SecretMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

SecretMemory& SecretMemory::operator=(SecretMemory&& other) noexcept {
  if (this != &other) {
    release(data_, size_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

}  // namespace tiercast::crypto
