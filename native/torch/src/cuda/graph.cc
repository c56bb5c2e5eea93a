// Graph of device.h: LibTorch's, on the current stream, with a memory pool of its own.
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#include <cuda_runtime_api.h>
#include <torch/version.h>

#include <memory>

#include "device.h"

#define DETCO_TORCH_FROM(MAJOR, MINOR) \
  (TORCH_VERSION_MAJOR > MAJOR || (TORCH_VERSION_MAJOR == MAJOR && TORCH_VERSION_MINOR >= MINOR))

#if DETCO_TORCH_FROM(2, 11)
#include <ATen/core/CachingHostAllocator.h>
#endif

namespace detco {

struct Graph::Captured {
  at::cuda::CUDAGraph graph;
  // Its own, by a name known here, so that a recording that failed can be taken back.
  decltype(at::cuda::graph_pool_handle()) pool = at::cuda::graph_pool_handle();
  c10::DeviceIndex device = c10::cuda::current_device();
  enum class State { recording, ready, failed } state = State::recording;

  /** Ends a recording. When CUDA has given it up, LibTorch's allocator is told here, for capture_end then stops halfway. */
  void end() {
    state = State::failed;
    try {
      graph.capture_end();
    } catch (...) {
      cudaGetLastError();
#if DETCO_TORCH_FROM(2, 3)
      try {
        c10::cuda::CUDACachingAllocator::endAllocateToPool(device, pool);
        c10::cuda::CUDACachingAllocator::releasePool(device, pool);
      } catch (const std::exception&) {
        // It had been told.
      }
#endif
#if DETCO_TORCH_FROM(2, 11)
      try {
        at::getHostAllocator(at::kCUDA)->end_allocate_to_pool(pool);
      } catch (const std::exception&) {
        // The same, of pinned memory.
      }
#endif
      throw;
    }
    state = State::ready;
  }
};

Graph::Graph() = default;

Graph::~Graph() {
  if (!captured_) return;
  try {
    if (captured_->state == Captured::State::recording) captured_->end();
  } catch (const std::exception&) {
    // The operator that failed while it was recorded has reported its own error.
  }
  try {
    // Launches in flight use the graph's memory.
    cudaDeviceSynchronize();
    captured_.reset();
  } catch (const std::exception& error) {
    TORCH_WARN("CUDA graph: releasing it failed: ", error.what());
  }
}

void Graph::begin() {
  TORCH_CHECK(!captured_, "CUDA graph: begin is called a second time: expected a Graph of its own for each recording");
  // What eager steps left unused goes back, to be there for the graph's own pool.
  synchronize();
  emptyCache();
  auto captured = std::make_unique<Captured>();
#if DETCO_TORCH_FROM(2, 1)
  // Threads that wait for reads meanwhile are none of the recording's business.
  captured->graph.capture_begin(captured->pool, cudaStreamCaptureModeThreadLocal);
#else
  captured->graph.capture_begin(captured->pool);
#endif
  captured_ = std::move(captured);
}

void Graph::end() {
  TORCH_CHECK(captured_ && captured_->state == Captured::State::recording, "CUDA graph: end without begin");
  captured_->end();
}

void Graph::replay() {
  TORCH_CHECK(captured_ && captured_->state == Captured::State::ready, "CUDA graph: replay of a graph that was not recorded");
  captured_->graph.replay();
}

}  // namespace detco
