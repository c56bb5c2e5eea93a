#include "cuda/compiler.h"

#include <c10/util/Exception.h>
#include <dlfcn.h>

#include <algorithm>
#include <vector>

namespace detco::cuda {

void* symbolOf(void* library, const char* name) {
  void* symbol = dlsym(library, name);
  TORCH_CHECK(symbol != nullptr, "CUDA: no function ", name, " in NVRTC or the driver's library: expected CUDA 11.2 or newer");
  return symbol;
}

Compiler::Compiler(void* library) {
  find(create_, library, "nvrtcCreateProgram");
  find(destroy_, library, "nvrtcDestroyProgram");
  find(compile_, library, "nvrtcCompileProgram");
  find(addName_, library, "nvrtcAddNameExpression");
  find(loweredName_, library, "nvrtcGetLoweredName");
  find(logSize_, library, "nvrtcGetProgramLogSize");
  find(log_, library, "nvrtcGetProgramLog");
  find(errorString_, library, "nvrtcGetErrorString");
  find(ptxSize_, library, "nvrtcGetPTXSize");
  find(ptx_, library, "nvrtcGetPTX");
  find(cubinSize_, library, "nvrtcGetCUBINSize");
  find(cubin_, library, "nvrtcGetCUBIN");
  find(architectureCount_, library, "nvrtcGetNumSupportedArchs");
  find(architectures_, library, "nvrtcGetSupportedArchs");
}

void Compiler::check(nvrtcResult result, const char* what) const {
  TORCH_CHECK(result == NVRTC_SUCCESS, "CUDA: ", what, ": ", errorString_(result));
}

/** The device's own architecture, or, for one that this NVRTC is older than, the newest it knows, for the driver to finish. */
std::string Compiler::architecture(int capability, bool& virtualOnly) const {
  int count = 0;
  check(architectureCount_(&count), "nvrtcGetNumSupportedArchs");
  std::vector<int> known(static_cast<size_t>(count));
  check(architectures_(known.data()), "nvrtcGetSupportedArchs");
  virtualOnly = std::find(known.begin(), known.end(), capability) == known.end();
  if (!virtualOnly) return "sm_" + std::to_string(capability);
  int newest = 0;
  for (const int each : known) {
    if (each < capability) newest = std::max(newest, each);
  }
  TORCH_CHECK(
      newest > 0, "CUDA: a device of compute capability ", capability / 10, ".", capability % 10,
      " is too old for this CUDA: build against a LibTorch of an older CUDA");
  return "compute_" + std::to_string(newest);
}

Compiled Compiler::compile(const std::string& source, const std::string& kernel, int capability) const {
  bool virtualOnly = false;
  const std::string target = "--gpu-architecture=" + architecture(capability, virtualOnly);
  nvrtcProgram program = nullptr;
  check(create_(&program, source.c_str(), "detco.cu", 0, nullptr, nullptr), "nvrtcCreateProgram");
  struct Destroy {
    decltype(&nvrtcDestroyProgram) destroy;
    nvrtcProgram* program;
    ~Destroy() { destroy(program); }
  } const destroy{destroy_, &program};
  check(addName_(program, kernel.c_str()), "nvrtcAddNameExpression");
  const char* options[] = {target.c_str(), "--std=c++17"};
  const nvrtcResult result = compile_(program, 2, options);
  if (result != NVRTC_SUCCESS) {
    size_t size = 0;
    check(logSize_(program, &size), "nvrtcGetProgramLogSize");
    std::string log(size, '\0');
    check(log_(program, log.data()), "nvrtcGetProgramLog");
    TORCH_CHECK(false, "CUDA: ", kernel, " does not compile with ", target, ": ", errorString_(result), "\n", log.c_str());
  }
  const char* lowered = nullptr;
  check(loweredName_(program, kernel.c_str(), &lowered), "nvrtcGetLoweredName");
  Compiled compiled{"", lowered};
  size_t size = 0;
  check(virtualOnly ? ptxSize_(program, &size) : cubinSize_(program, &size), "size of compiled code");
  compiled.code.resize(size);
  check(virtualOnly ? ptx_(program, compiled.code.data()) : cubin_(program, compiled.code.data()), "compiled code");
  return compiled;
}

}  // namespace detco::cuda
