// Arithmetic of cutting a picture out of an image, for the CPU and, as text, for NVRTC, from one definition: Pillow's antialiased bilinear
// resize of a box, in the fixed point of the workers' kernel (src/pipeline/augment/assembly/resize.ts), whose bytes it gives.
#pragma once

#include <cmath>

#include "shared_text.h"

namespace detco {

// Columns of a row of the table, float64: where the image begins among the pixels, and how many it has in a row; the window outside of which
// no sample is used; where the picture's corner lies in the image; pixels of the image for one of the picture; whether it is mirrored.
// Weights have 14 bits, a row that is mixed of several 6 more than its pixels.
DETCO_SHARED(
    kCropPoint,
    enum CropColumn {
      kCropOffset,
      kCropStride,
      kCropLeft,
      kCropTop,
      kCropRight,
      kCropBottom,
      kCropX,
      kCropY,
      kCropScaleX,
      kCropScaleY,
      kCropMirrored,
      kCropColumns
    };
    enum CropBits { kCropOne = 1 << 14, kMixShift = 8, kCropShift = 20 };

    // The samples of an axis that make one of the picture.
    struct Taps {
      double centre;
      double support;
      double factor;
      int first;
      int end;
      int heaviest;
      int rest;
    };

    DETCO_DEVICE int plainWeight(const Taps& taps, int at) {
      return static_cast<int>((taps.support - fabs(at - taps.centre)) * taps.factor + 0.5);
    }

    // All of them add up to one exactly.
    DETCO_DEVICE int weightOf(const Taps& taps, int at) { return plainWeight(taps, at) + (at == taps.heaviest ? taps.rest : 0); }

    // Of sample i of a picture that begins at `from`, among the samples [low, high). Beyond them the outermost goes on.
    DETCO_DEVICE Taps tapsOf(int i, int low, int high, double from, double scale) {
      Taps taps;
      taps.centre = from + (i + 0.5) * scale - 0.5;
      taps.support = scale > 1.0 ? scale : 1.0;
      const int first = static_cast<int>(floor(taps.centre - taps.support)) + 1;
      const int end = static_cast<int>(ceil(taps.centre + taps.support));
      taps.first = first < low ? low : (first < high ? first : high - 1);
      taps.end = end < high ? end : high;
      double total = 0.0;
      for (int at = taps.first; at < taps.end; at++) total += taps.support - fabs(at - taps.centre);
      taps.factor = total == 0.0 ? 0.0 : kCropOne / total;
      if (taps.end <= taps.first) taps.end = taps.first + 1;
      taps.heaviest = taps.first;
      taps.rest = kCropOne;
      int most = plainWeight(taps, taps.first);
      for (int at = taps.first; at < taps.end; at++) {
        const int weight = plainWeight(taps, at);
        if (weight > most) taps.heaviest = at;
        if (weight > most) most = weight;
        taps.rest -= weight;
      }
      return taps;
    }

    // Levels of the pixel that these columns and rows of an image make, which has so many pixels in a row.
    DETCO_DEVICE void cropPixel(const unsigned char* image, int stride, const Taps& columns, const Taps& rows, float* out) {
      int sums[3] = {1 << (kCropShift - 1), 1 << (kCropShift - 1), 1 << (kCropShift - 1)};
      for (int x = columns.first; x < columns.end; x++) {
        int mixed[3] = {1 << (kMixShift - 1), 1 << (kMixShift - 1), 1 << (kMixShift - 1)};
        for (int y = rows.first; y < rows.end; y++) {
          const unsigned char* pixel = image + (static_cast<long long>(y) * stride + x) * 3;
          const int weight = weightOf(rows, y);
          for (int c = 0; c < 3; c++) mixed[c] += weight * pixel[c];
        }
        const int weight = weightOf(columns, x);
        for (int c = 0; c < 3; c++) sums[c] += weight * (mixed[c] >> kMixShift);
      }
      for (int c = 0; c < 3; c++) {
        const int level = sums[c] >> kCropShift;
        out[c] = static_cast<float>(level < 0 ? 0 : (level > 255 ? 255 : level));
      }
    }

    // Pixel x of row y of the picture of size x size that a row of the table asks for; `rows` are its taps.
    DETCO_DEVICE void cropAt(const unsigned char* pixels, const double* row, int size, int x, const Taps& rows, float* out) {
      const int column = row[kCropMirrored] == 0.0 ? x : size - 1 - x;
      const Taps columns =
          tapsOf(column, static_cast<int>(row[kCropLeft]), static_cast<int>(row[kCropRight]), row[kCropX], row[kCropScaleX]);
      cropPixel(pixels + static_cast<long long>(row[kCropOffset]), static_cast<int>(row[kCropStride]), columns, rows, out);
    }

    DETCO_DEVICE Taps rowTaps(const double* row, int y) {
      return tapsOf(y, static_cast<int>(row[kCropTop]), static_cast<int>(row[kCropBottom]), row[kCropY], row[kCropScaleY]);
    })

}  // namespace detco
