// JPEG files to pixels by the decoders in a GPU's hardware. nvJPEG is opened at run time, so that building this needs none: its functions are
// declared here, by the documentation of nvJPEG 13.
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <dlfcn.h>

#include <cstring>

#include "cuda/event.h"
#include "cuda/launch.h"
#include "device.h"

namespace detco {

namespace {

using Handle = void*;
using State = void*;

/** nvjpegImage_t: of interleaved pixels the first channel alone is used. */
struct Destination {
  unsigned char* channel[4];
  size_t pitch[4];
};

enum Status {
  kSuccess = 0,
  kBadJpeg = 3,
  kUnsupportedJpeg = 4,
  kNoMemory = 5,
  kNoHardware = 7,
  kNoImplementation = 9,
  kIncompleteJpeg = 10
};
constexpr int kHardware = 3;
constexpr int kInterleavedRgb = 5;
/** Chroma is interpolated, as libjpeg does by default. */
constexpr unsigned kInterpolate = 1u << 5;

struct Library {
  int (*create)(int, void*, void*, unsigned, Handle*);
  int (*createState)(Handle, State*);
  int (*initialise)(Handle, State, int, int, int);
  int (*decode)(Handle, State, const unsigned char* const*, const size_t*, Destination*, cudaStream_t);
};

template <typename Function>
void find(Function& function, void* library, const char* name, const std::string& file) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  TORCH_CHECK(function != nullptr, "nvJPEG: ", file, " has no function ", name, ": expected nvJPEG 12 or newer");
}

Library open(const std::string& file) {
  void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  TORCH_CHECK(library != nullptr, "nvJPEG: ", file, " cannot be loaded: ", dlerror());
  Library functions{};
  find(functions.create, library, "nvjpegCreateEx", file);
  find(functions.createState, library, "nvjpegJpegStateCreate", file);
  find(functions.initialise, library, "nvjpegDecodeBatchedInitialize", file);
  find(functions.decode, library, "nvjpegDecodeBatched", file);
  return functions;
}

}  // namespace

struct JpegDecoder::Opened {
  Library library;
  at::Device device = at::kCPU;
  c10::cuda::CUDAStream stream;
  Handle handle = nullptr;
  State state = nullptr;
  /** The files of the last batch, which the decoder may still be reading, and when it will have. */
  at::Tensor files;
  Event read;
  int batch = 0;

  Opened(const std::string& file, at::Device on)
      : library(open(file)), device(on), stream(c10::cuda::getStreamFromPool(/*isHighPriority=*/true, on.index())) {}

  /** @returns whether all were taken; throws where it is not an image that is to blame */
  bool run(const std::vector<const unsigned char*>& data, const std::vector<size_t>& lengths, std::vector<Destination>& to) {
    const int count = static_cast<int>(data.size());
    int status = kSuccess;
    if (batch != count) status = library.initialise(handle, state, count, 1, kInterleavedRgb);
    if (status == kSuccess) status = library.decode(handle, state, data.data(), lengths.data(), to.data(), stream.stream());
    // A batch that failed has to be initialised anew.
    batch = status == kSuccess ? count : 0;
    TORCH_CHECK(status != kNoMemory, "CUDA out of memory: nvJPEG has no room for ", count, " images");
    TORCH_CHECK(
        status == kSuccess || status == kBadJpeg || status == kUnsupportedJpeg || status == kIncompleteJpeg,
        "nvJPEG: decoding ", count, " images failed, status ", status);
    return status == kSuccess;
  }
};

JpegDecoder::JpegDecoder(const std::string& library, at::Device device) {
  const c10::cuda::CUDAGuard guard(device);
  opened_ = std::make_unique<Opened>(library, device);
  const int status = opened_->library.create(kHardware, nullptr, nullptr, kInterpolate, &opened_->handle);
  TORCH_CHECK(
      status != kNoHardware && status != kNoImplementation,
      "nvJPEG: this GPU has no JPEG decoder in hardware, or its driver does not show it: one of A100, H100, L4 and newer has; a container "
      "needs the driver capability \"video\" (NVIDIA_DRIVER_CAPABILITIES=compute,utility,video)");
  TORCH_CHECK(status == kSuccess, "nvJPEG: ", library, " does not start, status ", status);
  const int made = opened_->library.createState(opened_->handle, &opened_->state);
  TORCH_CHECK(made == kSuccess, "nvJPEG: no decoder state, status ", made);
}

JpegDecoder::~JpegDecoder() = default;

at::Tensor JpegDecoder::decode(const std::vector<Jpeg>& files, std::vector<int64_t>& refused) {
  TORCH_CHECK(!cuda::capturing(), "CUDA graph: JPEGs are decoded while a graph is recorded: decode before");
  Opened& decoder = *opened_;
  const c10::cuda::CUDAGuard guard(decoder.device);
  const auto compute = c10::cuda::getCurrentCUDAStream(decoder.device.index());
  size_t bytes = 0;
  int64_t pixels = 0;
  for (const Jpeg& file : files) {
    bytes += file.bytes;
    pixels += 3 * file.width * file.height;
  }
  // Of the batch before.
  decoder.read.synchronize();
  decoder.files = at::empty({static_cast<int64_t>(bytes)}, at::TensorOptions().dtype(at::kByte).pinned_memory(true));
  at::Tensor result;
  {
    const c10::cuda::CUDAStreamGuard onStream(decoder.stream);
    result = at::empty({pixels}, at::TensorOptions().dtype(at::kByte).device(decoder.device));
    std::vector<const unsigned char*> data;
    std::vector<size_t> lengths;
    std::vector<Destination> destinations;
    auto* from = decoder.files.data_ptr<uint8_t>();
    auto* to = result.data_ptr<uint8_t>();
    for (const Jpeg& file : files) {
      std::memcpy(from, file.data, file.bytes);
      data.push_back(from);
      lengths.push_back(file.bytes);
      destinations.push_back({{to}, {static_cast<size_t>(3 * file.width)}});
      from += file.bytes;
      to += 3 * file.width * file.height;
    }
    if (!files.empty() && !decoder.run(data, lengths, destinations)) {
      // It does not say which, so each is tried alone.
      for (size_t i = 0; i < files.size(); ++i) {
        std::vector<Destination> own{destinations[i]};
        if (!decoder.run({data[i]}, {lengths[i]}, own)) refused.push_back(static_cast<int64_t>(i));
      }
    }
    decoder.read.record(decoder.stream);
    decoder.read.block(compute);
  }
  // Freed by the host while the compute stream has yet to read it, it must wait for that before it is used again.
  result.record_stream(compute);
  return result;
}

}  // namespace detco
