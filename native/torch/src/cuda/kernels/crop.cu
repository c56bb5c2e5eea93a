R"CUDA(
/** A row, blockIdx.x, of a picture, blockIdx.y, cut out of an image. */
template <typename T>
__global__ void crop(CropArgs a) {
  const double* row = a.table + static_cast<i64>(blockIdx.y) * kCropColumns;
  const Taps rows = rowTaps(row, blockIdx.x);
  T* out = a.out + (static_cast<i64>(blockIdx.y) * a.size + blockIdx.x) * a.size * 3;
  for (int x = threadIdx.x; x < a.size; x += blockDim.x) cropAt(a.pixels, row, a.size, x, rows, out + x * 3);
}
)CUDA"
