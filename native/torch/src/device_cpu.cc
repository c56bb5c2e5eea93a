// The services of device.h for a LibTorch without CUDA: there is no device to serve.
#include "device.h"

namespace detco {

namespace {
[[noreturn]] void refuse() { TORCH_CHECK(false, cudaUnavailableReason()); }
}  // namespace

std::vector<DeviceInfo> cudaDevices() { return {}; }

std::string cudaUnavailableReason() { return "this LibTorch was built without CUDA"; }

void startDevice(at::Device, bool) { refuse(); }

at::Tensor uploadAsync(const void*, at::IntArrayRef, at::ScalarType, at::Device) { refuse(); }

PendingRead readAsync(const at::Tensor& tensor) {
  // Its own copy: what is written to the tensor later must not show.
  return {tensor.clone(at::MemoryFormat::Contiguous), [] {}};
}

struct JpegDecoder::Opened {};
JpegDecoder::JpegDecoder(const std::string&, at::Device) { refuse(); }
JpegDecoder::~JpegDecoder() = default;
at::Tensor JpegDecoder::decode(const std::vector<Jpeg>&, std::vector<int64_t>&) { refuse(); }

void synchronize() {}
void emptyCache() {}
DeviceMemory deviceMemory() { return {0, 0, 0}; }

struct Graph::Captured {};
Graph::Graph() = default;
Graph::~Graph() = default;
void Graph::begin() { refuse(); }
void Graph::end() { refuse(); }
void Graph::replay() { refuse(); }

}  // namespace detco
