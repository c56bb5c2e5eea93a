#include "heap.h"

#include <sys/mman.h>

#include <algorithm>

namespace detco {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kMostAddresses = std::size_t{1} << 40;
constexpr std::size_t kLeastAddresses = std::size_t{1} << 32;
// Addresses become writable in steps: systems that count writable memory as used would refuse a terabyte.
constexpr std::size_t kStep = std::size_t{64} << 20;
// Free memory may be this share of what is in use before more is taken from the system: 1/8, beside the 20 % by which
// the engine's peak may exceed PyTorch's.
constexpr std::size_t kSlackShare = 8;
// A free block is split where this much or more is left over.
constexpr std::size_t kLeastRest = 4096;

std::size_t roundUp(std::size_t value, std::size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

}  // namespace

bool Heap::reserve() {
  for (std::size_t size = kMostAddresses; size >= kLeastAddresses; size /= 2) {
    void* range = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) continue;
    const auto start = reinterpret_cast<uintptr_t>(range);
    base_ = roundUp(start, kHugePage);
    end_ = (start + size) / kHugePage * kHugePage;
    writable_ = base_;
    addFree(base_, end_ - base_);
    return true;
  }
  return false;
}

void* Heap::allocate(std::size_t size) {
  size = roundUp(size, align_);
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto fit = bySize_.lower_bound({size, 0});
  if (fit == bySize_.end()) return nullptr;
  const auto [available, address] = *fit;
  if (!makeWritable(address + size)) return nullptr;
  bySize_.erase(fit);
  Block& block = blocks_[address];
  block.free = false;
  if (available - size >= std::max(kLeastRest, align_)) {
    block.size = size;
    addFree(address + size, available - size);
  }
  live_ += block.size;
  touch(address, size);
  return reinterpret_cast<void*>(address);
}

void Heap::free(void* pointer) {
  const std::lock_guard<std::mutex> lock(mutex_);
  auto block = blocks_.find(reinterpret_cast<uintptr_t>(pointer));
  live_ -= block->second.size;
  uintptr_t address = block->first;
  std::size_t size = block->second.size;
  const auto next = std::next(block);
  if (next != blocks_.end() && next->second.free) {
    size += next->second.size;
    bySize_.erase({next->second.size, next->first});
    blocks_.erase(next);
  }
  if (block != blocks_.begin()) {
    const auto previous = std::prev(block);
    if (previous->second.free) {
      address = previous->first;
      size += previous->second.size;
      bySize_.erase({previous->second.size, previous->first});
      blocks_.erase(block);
    }
  }
  addFree(address, size);
}

void Heap::addFree(uintptr_t address, std::size_t size) {
  blocks_[address] = {size, true};
  bySize_.insert({size, address});
}

bool Heap::makeWritable(uintptr_t end) {
  if (end <= writable_) return true;
  const uintptr_t to = std::min(end_, writable_ + roundUp(end - writable_, kStep));
  if (mprotect(reinterpret_cast<void*>(writable_), to - writable_, PROT_READ | PROT_WRITE) != 0) return false;
  // Advice: where huge pages are switched off, small ones serve.
  madvise(reinterpret_cast<void*>(writable_), to - writable_, MADV_HUGEPAGE);
  writable_ = to;
  resident_.resize((writable_ - base_) / kHugePage, false);
  return true;
}

// Marks a block's pages as resident, which they are once it is written. Where that takes more memory from the system,
// free blocks that fitted badly are given back first.
void Heap::touch(uintptr_t address, std::size_t size) {
  const std::size_t first = (address - base_) / kHugePage;
  const std::size_t last = (address + size - 1 - base_) / kHugePage;
  bool grows = false;
  for (std::size_t page = first; page <= last; ++page) {
    if (resident_[page]) continue;
    resident_[page] = true;
    ++residentPages_;
    grows = true;
  }
  const std::size_t slack = live_ / kSlackShare;
  if (grows && residentPages_ * kHugePage > live_ + std::max(slack, 16 * kHugePage)) trim(slack / 2);
}

// Gives back whole pages of free blocks, the largest blocks first, until at most `keep` bytes are cached.
void Heap::trim(std::size_t keep) {
  for (auto block = bySize_.rbegin(); block != bySize_.rend(); ++block) {
    if (residentPages_ * kHugePage <= live_ + keep || block->first < kHugePage) return;
    const uintptr_t from = roundUp(block->second, kHugePage);
    const uintptr_t to = std::min(writable_, block->second + block->first) / kHugePage * kHugePage;
    if (from >= to) continue;
    std::size_t given = 0;
    for (uintptr_t at = from; at < to; at += kHugePage) {
      const std::size_t page = (at - base_) / kHugePage;
      if (!resident_[page]) continue;
      resident_[page] = false;
      ++given;
    }
    if (given == 0) continue;
    madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
    residentPages_ -= given;
  }
}

std::size_t Heap::liveBytes() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return live_;
}

std::size_t Heap::cachedBytes() {
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::size_t resident = residentPages_ * kHugePage;
  return resident > live_ ? resident - live_ : 0;
}

void Heap::releaseCached() {
  const std::lock_guard<std::mutex> lock(mutex_);
  trim(0);
}

}  // namespace detco
