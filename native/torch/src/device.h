// What the addon needs of a GPU, without CUDA's types: cuda/device_cuda.cc, or device_cpu.cc where LibTorch has no CUDA.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace detco {

struct DeviceInfo {
  std::string name;
  std::string capability;  // "9.0"
  size_t totalBytes;
};

// The GPUs that this process can use; empty when there is none, for the reason that cudaUnavailableReason gives. Neither throws.
std::vector<DeviceInfo> cudaDevices();
std::string cudaUnavailableReason();

// Makes `device` and a stream of its own current for the thread; cuDNN measures its algorithms (benchmark mode). Throws when there is no
// such device, saying which there are.
void startDevice(at::Device device, bool tf32);

// A tensor on `device` holding a copy of `bytes`, which may be overwritten when this returns; the copy to the device overlaps
// work queued before.
at::Tensor uploadAsync(const void* bytes, at::IntArrayRef sizes, at::ScalarType type, at::Device device);

// A copy of a tensor on its way to the host: `host` is contiguous and valid after `wait`, which any thread may call.
struct PendingRead {
  at::Tensor host;
  std::function<void()> wait;
};
PendingRead readAsync(const at::Tensor& tensor);

/** A JPEG file in host memory, and its size in pixels. */
struct Jpeg {
  const uint8_t* data;
  size_t bytes;
  int64_t width;
  int64_t height;
};

// The JPEG decoders in the hardware of a GPU, through nvJPEG.
class JpegDecoder {
 public:
  // Throws, saying why it cannot be had. library: the file of nvJPEG.
  JpegDecoder(const std::string& library, at::Device device);
  ~JpegDecoder();
  // RGB of all images back to back, for work that is queued from now on; decoding overlaps work queued before. The files may change when this
  // returns. `refused` gets the ordinals of images that the decoder does not take, whose pixels are undefined.
  at::Tensor decode(const std::vector<Jpeg>& files, std::vector<int64_t>& refused);

 private:
  struct Opened;
  std::unique_ptr<Opened> opened_;
};

void synchronize();
void emptyCache();

struct DeviceMemory {
  size_t allocatedBytes;
  size_t reservedBytes;
  size_t peakBytes;
};
DeviceMemory deviceMemory();

// Device work recorded between begin and end, which replay runs again with the same addresses.
class Graph {
 public:
  Graph();
  ~Graph();
  void begin();
  void end();
  void replay();

 private:
  struct Captured;
  std::unique_ptr<Captured> captured_;
};

}  // namespace detco
