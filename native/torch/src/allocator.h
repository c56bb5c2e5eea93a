// A caching allocator for LibTorch's CPU tensors.
#pragma once

#include <cstddef>

namespace detco {

// Makes it LibTorch's CPU allocator, for good; memory that an earlier one gave is still freed rightly. False, with
// nothing changed, where address space is limited too tightly. Call it once, before other threads use LibTorch.
bool installCachingAllocator();

// Bytes of blocks in use, of those of 32 KiB and more.
std::size_t liveBytes();

// Bytes that are held for reuse: resident, and in no block in use.
std::size_t cachedBytes();

// Gives them back to the system.
void releaseCached();

}  // namespace detco
