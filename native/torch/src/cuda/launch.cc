#include "cuda/launch.h"

#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGraphsC10Utils.h>
#include <c10/cuda/CUDAStream.h>
#include <dlfcn.h>

#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "cuda/compiler.h"
#include "cuda/source.h"

namespace detco::cuda {

namespace {

/** Why a library did not open; the message is the dynamic linker's. */
std::string linkerError() {
  const char* message = dlerror();
  return message == nullptr ? "unknown" : message;
}

/** The folder of libc10_cuda.so, where LibTorch keeps the rest of itself. */
std::string libtorchFolder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&c10::cuda::device_count), &info) == 0 || info.dli_fname == nullptr) return "";
  const std::string path = info.dli_fname;
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

/**
 * LibTorch's stub library, which needs the very NVRTC that LibTorch was built with, wherever it lies and whatever it is
 * called (zips carry it as libnvrtc-<hash>.so), and the driver's library: symbols of both are found through it.
 */
void* openLibraries() {
  std::string errors;
  void* library = nullptr;
  for (const std::string& name : {libtorchFolder() + "libcaffe2_nvrtc.so", std::string("libcaffe2_nvrtc.so")}) {
    if (library != nullptr) break;
    // Never closed: kernels stay loaded as long as the process.
    library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) errors += "\n  " + linkerError();
  }
  TORCH_CHECK(library != nullptr, "CUDA: NVRTC, which compiles the engine's kernels, does not load:", errors);
  return library;
}

struct Driver {
  decltype(&cuModuleLoadData) load;
  decltype(&cuModuleGetFunction) function;
  decltype(&cuLaunchKernel) launch;
  decltype(&cuGetErrorString) errorString;
  std::unique_ptr<Compiler> compiler;

  Driver() {
    void* library = openLibraries();
    find(load, library, "cuModuleLoadData");
    find(function, library, "cuModuleGetFunction");
    find(launch, library, "cuLaunchKernel");
    find(errorString, library, "cuGetErrorString");
    compiler = std::make_unique<Compiler>(library);
  }

  void check(CUresult result, const char* what, const std::string& kernel) const {
    if (result == CUDA_SUCCESS) return;
    const char* message = nullptr;
    if (errorString(result, &message) != CUDA_SUCCESS || message == nullptr) message = "unknown error";
    TORCH_CHECK(false, "CUDA: ", what, " of ", kernel, ": ", message, " (", static_cast<int>(result), ")");
  }
};

Driver& driver() {
  static Driver* const instance = new Driver();
  return *instance;
}

int attribute(cudaDeviceAttr which, int device) {
  int value = 0;
  C10_CUDA_CHECK(cudaDeviceGetAttribute(&value, which, device));
  return value;
}

CUfunction load(const std::string& kernel, int device) {
  TORCH_CHECK(
      !capturing(), "CUDA graph: ", kernel, " is launched for the first time while a graph is recorded: run the step once before recording it");
  // The driver's functions want the device's context current, which any call of the runtime that needs it makes it.
  C10_CUDA_CHECK(cudaFree(nullptr));
  const int capability =
      10 * attribute(cudaDevAttrComputeCapabilityMajor, device) + attribute(cudaDevAttrComputeCapabilityMinor, device);
  static const std::string* const source = new std::string(kernelSource());
  const Compiled compiled = driver().compiler->compile(*source, kernel, capability);
  CUmodule module = nullptr;
  driver().check(driver().load(&module, compiled.code.c_str()), "loading", kernel);
  CUfunction function = nullptr;
  driver().check(driver().function(&function, module, compiled.name.c_str()), "finding", kernel);
  return function;
}

}  // namespace

int multiprocessors() {
  static std::mutex mutex;
  static std::map<int, int> known;
  const int device = c10::cuda::current_device();
  const std::lock_guard<std::mutex> lock(mutex);
  const auto found = known.find(device);
  if (found != known.end()) return found->second;
  return known[device] = attribute(cudaDevAttrMultiProcessorCount, device);
}

bool capturing() {
  return c10::cuda::currentStreamCaptureStatusMayInitCtx() != c10::cuda::CaptureStatus::None;
}

void launchKernel(const std::string& kernel, Grid grid, Grid block, void* argument) {
  static std::mutex mutex;
  static auto* const loaded = new std::map<int, std::unordered_map<std::string, CUfunction>>();
  const int device = c10::cuda::current_device();
  CUfunction function = nullptr;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    auto& functions = (*loaded)[device];
    const auto found = functions.find(kernel);
    function = found != functions.end() ? found->second : functions.emplace(kernel, load(kernel, device)).first->second;
  }
  void* arguments[] = {argument};
  driver().check(
      driver().launch(
          function, grid.x, grid.y, grid.z, block.x, block.y, block.z, 0, c10::cuda::getCurrentCUDAStream().stream(),
          arguments, nullptr),
      "launching", kernel);
}

}  // namespace detco::cuda
