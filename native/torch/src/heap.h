// A heap over one reserved range of addresses: best fit, neighbours merged, pages kept when blocks are freed.
//
//   base                                                       writable            end
//   |■■■ live ■■■|░░ free, resident ░░|■ live ■|·· free, gone ··|················|   reserved   |
//
// A training step allocates and frees the same sizes each time, gigabytes of them: given back to the system, every page
// would be mapped, zeroed and faulted in again. One range, rather than a list of blocks for each size, so that the
// activations of a 224-pixel forward pass and of a 64-pixel one lie in the same memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

namespace detco {

class Heap {
 public:
  // `align`: of sizes, hence of addresses; a power of two, at least 64.
  explicit Heap(std::size_t align) : align_(align) {}

  // Reserves addresses; false where the system refuses even the least amount that makes sense.
  bool reserve();

  bool contains(const void* pointer) const {
    const auto address = reinterpret_cast<uintptr_t>(pointer);
    return address >= base_ && address < end_;
  }

  // Null where memory or addresses are exhausted.
  void* allocate(std::size_t size);
  void free(void* pointer);
  std::size_t liveBytes();
  std::size_t cachedBytes();
  void releaseCached();

 private:
  struct Block {
    std::size_t size;
    bool free;
  };
  using Blocks = std::map<uintptr_t, Block>;

  void addFree(uintptr_t address, std::size_t size);
  bool makeWritable(uintptr_t end);
  void touch(uintptr_t address, std::size_t size);
  void trim(std::size_t keep);

  const std::size_t align_;
  std::mutex mutex_;
  uintptr_t base_ = 0;
  uintptr_t end_ = 0;
  uintptr_t writable_ = 0;
  Blocks blocks_;
  std::set<std::pair<std::size_t, uintptr_t>> bySize_;  // free ones
  std::vector<bool> resident_;                          // of each huge page from base_ on
  std::size_t residentPages_ = 0;
  std::size_t live_ = 0;
};

}  // namespace detco
