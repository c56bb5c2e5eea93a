// The caching allocator: memory that was freed is given again, whole and once; what fits badly goes back.
#include "../src/allocator.h"

#include "../src/heap.h"
#include "expect.h"

#include <ATen/ATen.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace detco_test {

void checkHeap() {
  constexpr std::size_t kMiB = std::size_t{1} << 20;
  detco::Heap heap(4096);
  expect(heap.reserve(), "heap: reserves addresses");
  void* a = heap.allocate(3 * kMiB);
  void* b = heap.allocate(5 * kMiB);
  void* c = heap.allocate(2 * kMiB);
  expect(heap.liveBytes() == 10 * kMiB, "heap: counts what is in use");
  heap.free(a);
  expect(heap.allocate(3 * kMiB) == a, "heap: gives a freed block again");
  heap.free(a);
  heap.free(b);
  void* both = heap.allocate(8 * kMiB);
  expect(both == a, "heap: merges free neighbours");
  heap.free(both);
  heap.free(c);
  expect(heap.liveBytes() == 0 && heap.cachedBytes() >= 10 * kMiB, "heap: keeps pages");
  heap.releaseCached();
  expect(heap.cachedBytes() == 0, "heap: gives pages back");
  void* zero = heap.allocate(2 * kMiB);
  expect(std::all_of(static_cast<char*>(zero), static_cast<char*>(zero) + 2 * kMiB, [](char x) { return x == 0; }), "heap: pages given back are new");
  heap.free(zero);
  expect(heap.allocate(std::size_t{1} << 45) == nullptr, "heap: null where addresses do not suffice");

  // Random sizes from two threads, each block filled with a byte of its own that must still be there when it is freed.
  auto work = [&heap](unsigned seed, bool& intact) {
    std::mt19937 random(seed);
    std::vector<std::pair<unsigned char*, std::size_t>> blocks;
    for (int i = 0; i < 4000; ++i) {
      if (blocks.size() > 40 || (!blocks.empty() && random() % 2 == 0)) {
        std::swap(blocks[random() % blocks.size()], blocks.back());
        auto [at, size] = blocks.back();
        const auto mark = static_cast<unsigned char>(size + seed);
        intact = intact && at[0] == mark && at[size / 2] == mark && at[size - 1] == mark;
        heap.free(at);
        blocks.pop_back();
      } else {
        const std::size_t size = 1 + random() % (random() % 8 == 0 ? 1 << 22 : 1 << 16);
        auto* at = static_cast<unsigned char*>(heap.allocate(size));
        intact = intact && reinterpret_cast<uintptr_t>(at) % 4096 == 0;
        const auto mark = static_cast<unsigned char>(size + seed);
        at[0] = at[size / 2] = at[size - 1] = mark;
        blocks.emplace_back(at, size);
      }
    }
    for (const auto& block : blocks) heap.free(block.first);
  };
  bool intact[2] = {true, true};
  std::thread other(work, 1u, std::ref(intact[0]));
  work(2u, intact[1]);
  other.join();
  expect(intact[0] && intact[1], "heap: blocks do not overlap");
  expect(heap.liveBytes() == 0, "heap: all blocks are freed");
}

// Forward and backward passes at 224 and 64 pixels, by turns, on one heap: blocks taken in one order, a workspace beside
// each, and freed in the other. From the second step on nothing more may be taken from the system, and what is held may
// not be much more than what was ever in use.
void checkSteadyStep() {
  constexpr std::size_t kMiB = std::size_t{1} << 20;
  detco::Heap heap(4096);
  heap.reserve();
  void* parameters = heap.allocate(100 * kMiB);
  std::size_t peak = 0;
  std::size_t held = 0;
  auto pass = [&](std::size_t unit) {
    std::vector<void*> kept;
    for (std::size_t layer = 0; layer < 50; ++layer) {
      const std::size_t size = std::max(kMiB, unit >> (layer / 13)) + 64 * layer;
      void* workspace = heap.allocate(size / 2 + kMiB);
      kept.push_back(heap.allocate(size));
      peak = std::max(peak, heap.liveBytes());
      heap.free(workspace);
    }
    while (!kept.empty()) {
      void* gradient = heap.allocate(2 * kMiB);
      peak = std::max(peak, heap.liveBytes());
      heap.free(kept.back());
      kept.pop_back();
      heap.free(gradient);
    }
    held = heap.cachedBytes() + heap.liveBytes();
  };
  std::size_t first = 0;
  for (int step = 0; step < 6; ++step) {
    pass(25 * kMiB + 12345);
    pass(17 * kMiB + 777);
    if (step == 1) first = held;
  }
  expect(held == first, "heap: a steady step takes nothing more: " + std::to_string(first) + ", then " + std::to_string(held));
  expect(held <= peak + peak / 8 + 32 * kMiB, "heap: holds " + std::to_string(held) + " for a peak of " + std::to_string(peak));
  heap.free(parameters);
}

void checkAllocator() {
  checkSteadyStep();
  checkHeap();
  at::Tensor before = at::ones({1 << 20});
  void* raw = c10::GetCPUAllocator()->raw_allocate(4 << 20);
  expect(detco::installCachingAllocator() && detco::installCachingAllocator(), "allocator: installs, once");
  before.reset();
  c10::GetCPUAllocator()->raw_deallocate(raw);
  const std::size_t live = detco::liveBytes();
  void* address = nullptr;
  {
    const at::Tensor t = at::ones({1 << 20});
    address = t.data_ptr();
    expect(reinterpret_cast<uintptr_t>(address) % 64 == 0, "allocator: aligned");
    expect(detco::liveBytes() - live == std::size_t{4} << 20, "allocator: counts tensors");
  }
  expect(detco::liveBytes() == live, "allocator: a tensor's memory is freed with it");
  expect(at::empty({1 << 20}).data_ptr() == address, "allocator: the same memory serves again");
  expect(at::empty({0}).numel() == 0 && at::ones({3}).sum().item<float>() == 3, "allocator: small and empty tensors");
  detco::releaseCached();
}

}  // namespace detco_test
