R"CUDA(
/** uint8 RGB -> bytes * factor[c] + shift[c]; a thread takes 4 pixels, 12 bytes in 3 words. */
template <typename T>
__global__ void normalise(ImageArgs a) {
  const float factor[3] = {a.factor[0], a.factor[1], a.factor[2]};
  const float shift[3] = {a.shift[0], a.shift[1], a.shift[2]};
  T* out = static_cast<T*>(a.out);
  const i64 step = static_cast<i64>(gridDim.x) * blockDim.x * 12;
  for (i64 i = (static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x) * 12; i < a.size; i += step) {
    if (a.aligned && i + 12 <= a.size) {
#pragma unroll
      for (int word = 0; word < 3; word++) {
        const u32 bytes = *reinterpret_cast<const u32*>(a.bytes + i + word * 4);
        float values[4];
#pragma unroll
        for (int j = 0; j < 4; j++) {
          const int c = (word * 4 + j) % 3;
          values[j] = static_cast<float>((bytes >> (8 * j)) & 255u) * factor[c] + shift[c];
        }
        write<T, 4>(out + i + word * 4, values);
      }
    } else {
      for (int j = 0; j < 12 && i + j < a.size; j++) {
        out[i + j] = fromFloat<T>(static_cast<float>(a.bytes[i + j]) * factor[j % 3] + shift[j % 3]);
      }
    }
  }
}
)CUDA"
