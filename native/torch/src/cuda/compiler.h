// NVRTC and the few driver functions that launching needs, found at run time.
#pragma once

#include <cuda.h>
#include <nvrtc.h>

#include <string>

namespace detco::cuda {

/** A kernel's machine code and its name there. */
struct Compiled {
  std::string code;
  std::string name;
};

/** NVRTC's functions, from a library opened by the caller: a test opens libnvrtc itself. */
class Compiler {
 public:
  /** @param library a handle of dlopen whose symbols, or those of what it needs, are NVRTC's. Throws when they are not. */
  explicit Compiler(void* library);

  /**
   * @param kernel a kernel's C++ name, template arguments included
   * @param capability 10 * major + minor of the device, 90 for an H100
   */
  Compiled compile(const std::string& source, const std::string& kernel, int capability) const;

 private:
  std::string architecture(int capability, bool& virtualOnly) const;
  void check(nvrtcResult result, const char* what) const;

  decltype(&nvrtcCreateProgram) create_;
  decltype(&nvrtcDestroyProgram) destroy_;
  decltype(&nvrtcCompileProgram) compile_;
  decltype(&nvrtcAddNameExpression) addName_;
  decltype(&nvrtcGetLoweredName) loweredName_;
  decltype(&nvrtcGetProgramLogSize) logSize_;
  decltype(&nvrtcGetProgramLog) log_;
  decltype(&nvrtcGetErrorString) errorString_;
  decltype(&nvrtcGetPTXSize) ptxSize_;
  decltype(&nvrtcGetPTX) ptx_;
  decltype(&nvrtcGetCUBINSize) cubinSize_;
  decltype(&nvrtcGetCUBIN) cubin_;
  decltype(&nvrtcGetNumSupportedArchs) architectureCount_;
  decltype(&nvrtcGetSupportedArchs) architectures_;
};

/** The symbol of a library, or an error that names both. */
void* symbolOf(void* library, const char* name);

template <typename F>
void find(F*& function, void* library, const char* name) {
  function = reinterpret_cast<F*>(symbolOf(library, name));
}

}  // namespace detco::cuda
