// LibTorch's CPU tensors on heaps that keep their pages. Small ones stay with the C library.
#include "allocator.h"

#include "heap.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

#include <cstdlib>
#include <cstring>

namespace detco {
namespace {

constexpr std::size_t kMediumBytes = std::size_t{32} << 10;
constexpr std::size_t kLargeBytes = std::size_t{1} << 20;
// A cache line, and the widest vector.
constexpr std::size_t kAlignment = 64;
constexpr uint8_t kPriority = 100;

// Medium and large apart, lest a small tensor that lives long splits what a large one needs whole.
struct Heaps {
  Heap medium{kAlignment};
  Heap large{4096};
};

// Never destroyed: tensors in static storage may outlive any order of destruction.
Heaps& heaps() {
  static Heaps* instance = new Heaps;
  return *instance;
}

void release(void* pointer) {
  if (pointer == nullptr) return;
  if (heaps().large.contains(pointer)) {
    heaps().large.free(pointer);
  } else if (heaps().medium.contains(pointer)) {
    heaps().medium.free(pointer);
  } else {
    // From the C library: a small one, or one of the allocator that was there before.
    std::free(pointer);
  }
}

void* take(std::size_t size) {
  void* pointer = nullptr;
  if (size >= kLargeBytes) {
    pointer = heaps().large.allocate(size);
  } else if (size >= kMediumBytes) {
    pointer = heaps().medium.allocate(size);
  }
  if (pointer == nullptr && posix_memalign(&pointer, kAlignment, size) != 0) pointer = nullptr;
  TORCH_CHECK(
      pointer != nullptr, "out of memory: asked for ", size, " bytes beside ", liveBytes(),
      " in use; use a smaller batch");
  return pointer;
}

// LibTorch made allocate() non-const and added copy_data() between 1.13 and 2.11; with both forms of the one and a
// copy_data() that may or may not override, the same source serves all of them.
class CachingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t size) const { return make(size); }
  c10::DataPtr allocate(std::size_t size) { return make(size); }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, std::size_t count) const { std::memcpy(to, from, count); }

 private:
  static c10::DataPtr make(std::size_t size) {
    void* pointer = size == 0 ? nullptr : take(size);
    return {pointer, pointer, &release, c10::Device(c10::DeviceType::CPU)};
  }
};

}  // namespace

bool installCachingAllocator() {
  static const bool installed = [] {
    if (!heaps().large.reserve() || !heaps().medium.reserve()) return false;
    c10::SetCPUAllocator(new CachingAllocator, kPriority);
    return true;
  }();
  return installed;
}

std::size_t liveBytes() { return heaps().medium.liveBytes() + heaps().large.liveBytes(); }

std::size_t cachedBytes() { return heaps().medium.cachedBytes() + heaps().large.cachedBytes(); }

void releaseCached() {
  heaps().medium.releaseCached();
  heaps().large.releaseCached();
}

}  // namespace detco
