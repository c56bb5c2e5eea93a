// Compiles every kernel of src/cuda/kernels for some architectures: needs NVRTC, no GPU. From native/torch, with the
// headers of LibTorch and CUDA in $LIBTORCH/include and $CUDA/include:
//
//   S="test/cuda/nvrtc.cc src/cuda/compiler.cc $LIBTORCH/lib/libc10.so -ldl"
//   g++ -std=c++17 -Isrc -I$LIBTORCH/include -I$CUDA/include -Wl,-rpath,$LIBTORCH/lib $S -o nvrtc
//   ./nvrtc $CUDA/lib/libnvrtc.so.13 80 90 100
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "cuda/compiler.h"
#include "cuda/source.h"

/** Every kernel that the operators may launch. */
std::vector<std::string> kernels() {
  std::vector<std::string> names = {"norm_finalise<float>", "norm_grad_finalise<float>", "sgd<float>", "lerp<float>", "nce_begin<float>", "nce_block<float>", "nce_end<float>", "crop<float>"};
  for (const std::string type : {"float", "bf16"}) {
    names.push_back("normalise<" + type + ">");
    names.push_back("augment<" + type + ">");
    for (const std::string pointer : {"int", "long long"}) names.push_back("enqueue<" + type + "," + pointer + ">");
    for (const std::string width : {"1", "4", "8"}) {
      names.push_back("norm_partial<" + type + "," + width + ">");
      for (const std::string other : {"float", "bf16"}) {
        for (const std::string first : {"false", "true"}) {
          names.push_back("norm_grad_apply<" + type + "," + other + "," + width + "," + first + ">");
          for (const std::string second : {"false", "true"}) {
            const std::string flags = type + "," + other + "," + width + "," + first + "," + second + ">";
            names.push_back("norm_apply<" + flags);
            names.push_back("norm_grad_partial<" + flags);
          }
        }
      }
    }
  }
  return names;
}

int main(int count, char** arguments) {
  if (count < 3) {
    std::fprintf(stderr, "usage: %s libnvrtc.so CAPABILITY...\n", arguments[0]);
    return 2;
  }
  void* library = dlopen(arguments[1], RTLD_NOW);
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  const detco::cuda::Compiler compiler(library);
  const std::string source = detco::cuda::kernelSource();
  // $DUMP: a folder for the compiled code.
  const char* dump = std::getenv("DUMP");
  for (int i = 2; i < count; ++i) {
    size_t bytes = 0;
    for (const std::string& name : kernels()) {
      const auto compiled = compiler.compile(source, name, std::atoi(arguments[i]));
      bytes += compiled.code.size();
      if (dump != nullptr) std::ofstream(std::string(dump) + "/" + name + "." + arguments[i]) << compiled.code;
    }
    std::printf("%zu kernels compiled for %s, %zu bytes\n", kernels().size(), arguments[i], bytes);
  }
}
