// The services of device.h over CUDA. All work runs on one stream that is not the default one, from the first allocation
// on, so that memory and library workspaces warmed up there are those a graph recorded on it finds.
#include "device.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <cstring>
#include <map>
#include <memory>
#include <mutex>

#include "cuda/event.h"
#include "cuda/launch.h"

namespace detco {

namespace {

std::string versionText(int version) { return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10); }

/** The stream that a device's uploads go through. */
c10::cuda::CUDAStream uploadStream(c10::DeviceIndex device) {
  static std::mutex mutex;
  static auto* const streams = new std::map<c10::DeviceIndex, c10::cuda::CUDAStream>();
  const std::lock_guard<std::mutex> lock(mutex);
  const auto found = streams->find(device);
  if (found != streams->end()) return found->second;
  return streams->emplace(device, c10::cuda::getStreamFromPool(/*isHighPriority=*/true, device)).first->second;
}

/** memcpy by all threads: one does not fill the memory's bandwidth. */
void copyBytes(void* to, const void* from, int64_t count) {
  at::parallel_for(0, count, int64_t{1} << 20, [&](int64_t begin, int64_t end) {
    std::memcpy(static_cast<char*>(to) + begin, static_cast<const char*>(from) + begin, static_cast<size_t>(end - begin));
  });
}

/** Drops what a scope warns of. */
class Silence : public c10::WarningHandler {
 public:
  void process(const c10::Warning&) override {}
};

/** TF32 in matrix products and convolutions. LibTorch 2.9 and newer warn that there is a second way to say this. */
void allowTf32(bool allowed) {
  Silence silence;
  const c10::WarningUtils::WarningHandlerGuard guard(&silence);
  at::globalContext().setAllowTF32CuBLAS(allowed);
  at::globalContext().setAllowTF32CuDNN(allowed);
}

}  // namespace

std::vector<DeviceInfo> cudaDevices() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();  // Else the next check of another call would report this error.
    return {};
  }
  std::vector<DeviceInfo> devices;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties{};
    if (cudaGetDeviceProperties(&properties, i) != cudaSuccess) {
      cudaGetLastError();
      continue;
    }
    devices.push_back(
        {properties.name, std::to_string(properties.major) + "." + std::to_string(properties.minor),
         properties.totalGlobalMem});
  }
  return devices;
}

std::string cudaUnavailableReason() {
  int driver = 0, runtime = 0, count = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  const cudaError_t error = cudaGetDeviceCount(&count);
  cudaGetLastError();
  const std::string needs = "this LibTorch needs one for CUDA " + versionText(runtime) + " or newer";
  if (driver == 0) return "no NVIDIA driver is installed or its libcuda.so.1 is not found: " + needs;
  if (error == cudaErrorInsufficientDriver) {
    return "the NVIDIA driver is for CUDA " + versionText(driver) + ": " + needs;
  }
  if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0)) {
    return "the NVIDIA driver sees no GPU: look at nvidia-smi and CUDA_VISIBLE_DEVICES";
  }
  if (error != cudaSuccess) return std::string("CUDA does not start: ") + cudaGetErrorString(error);
  return "";
}

void startDevice(at::Device device, bool tf32) {
  const std::string reason = cudaUnavailableReason();
  TORCH_CHECK(reason.empty(), "device ", device.str(), ": ", reason);
  const auto devices = cudaDevices();
  const int index = device.has_index() ? device.index() : 0;
  if (!device.is_cuda() || index >= static_cast<int>(devices.size())) {
    std::string known;
    for (size_t i = 0; i < devices.size(); ++i) {
      known += (i == 0 ? "cuda:" : ", cuda:") + std::to_string(i) + " (" + devices[i].name + ")";
    }
    TORCH_CHECK(false, "device ", device.str(), ": expected one of ", known);
  }
  c10::cuda::set_device(static_cast<c10::DeviceIndex>(index));
  // The first tensor sets LibTorch's CUDA up: allocator, generators, libraries.
  at::empty({1}, at::TensorOptions().device(at::kCUDA, static_cast<c10::DeviceIndex>(index)));
  // A second start keeps the stream: tensors and workspaces belong to it.
  const auto current = c10::cuda::getCurrentCUDAStream();
  if (current == c10::cuda::getDefaultCUDAStream()) {
    c10::cuda::setCurrentCUDAStream(c10::cuda::getStreamFromPool(false, static_cast<c10::DeviceIndex>(index)));
  }
  allowTf32(tf32);
  at::globalContext().setBenchmarkCuDNN(true);
}

at::Tensor uploadAsync(const void* bytes, at::IntArrayRef sizes, at::ScalarType type, at::Device device) {
  TORCH_CHECK(
      !cuda::capturing(), "CUDA graph: an upload of shape ", sizes,
      " while a graph is recorded: make the tensor before, and copy into it between replays");
  const auto index = device.has_index() ? device.index() : c10::cuda::current_device();
  const at::Device target(at::kCUDA, index);
  const auto options = at::TensorOptions().dtype(type);
  // LibTorch keeps pinned memory for reuse, each piece once the copy that reads it is done.
  const at::Tensor staging = at::empty(sizes, options.pinned_memory(true));
  if (staging.numel() == 0) return at::empty(sizes, options.device(target));
  copyBytes(staging.data_ptr(), bytes, static_cast<int64_t>(staging.nbytes()));
  const auto compute = c10::cuda::getCurrentCUDAStream(index);
  const auto upload = uploadStream(index);
  at::Tensor result;
  {
    // Memory of the upload stream: none of the compute stream's, which may still be in use by work queued there.
    const c10::cuda::CUDAStreamGuard guard(upload);
    result = at::empty(sizes, options.device(target));
    result.copy_(staging, /*non_blocking=*/true);
    Event copied;
    copied.record(upload);
    copied.block(compute);
  }
  // Freed by the host while the compute stream has yet to read it, it must wait for that before an upload reuses it.
  result.record_stream(compute);
  return result;
}

PendingRead readAsync(const at::Tensor& tensor) {
  if (!tensor.is_cuda()) return {tensor.clone(at::MemoryFormat::Contiguous), [] {}};
  TORCH_CHECK(
      !cuda::capturing(), "CUDA graph: a read of a tensor of shape ", tensor.sizes(),
      " while a graph is recorded: read it after a replay");
  const c10::cuda::CUDAGuard guard(tensor.device());
  const at::Tensor source = tensor.contiguous();
  const at::Tensor host = at::empty(source.sizes(), at::TensorOptions().dtype(source.scalar_type()).pinned_memory(true));
  host.copy_(source, /*non_blocking=*/true);
  const auto copied = std::make_shared<Event>();
  copied->record(c10::cuda::getCurrentCUDAStream());
  // The waiting thread may have another device current, and must not start a context there.
  return {host, [copied, device = tensor.device()] {
            const c10::cuda::CUDAGuard waiting(device);
            copied->synchronize();
          }};
}

void synchronize() { C10_CUDA_CHECK(cudaStreamSynchronize(c10::cuda::getCurrentCUDAStream().stream())); }

void emptyCache() { c10::cuda::CUDACachingAllocator::emptyCache(); }

DeviceMemory deviceMemory() {
  const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(c10::cuda::current_device());
  // Index 0 sums the allocator's pools.
  return {
      static_cast<size_t>(stats.allocated_bytes[0].current), static_cast<size_t>(stats.reserved_bytes[0].current),
      static_cast<size_t>(stats.allocated_bytes[0].peak)};
}

}  // namespace detco
