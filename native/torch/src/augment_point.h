// Arithmetic of augmentation, for the CPU and, as text, for NVRTC, from one definition. Levels are whole numbers 0..255 in float32.
// Conventions are Pillow's; the composition of src/engine/operations/augment.ts computes the same.
#pragma once

#include <cmath>

#include "shared_text.h"

namespace detco {

// Codes: those of STEP_CODES in src/engine/operations/picture-steps.ts. A row of the table: code, six parameters, pass; float64, for
// positions are where the workers have them.
// Statistics of a picture, which begin at 0: sum of luma, of each channel the largest level and the largest 255 - level, and then how many
// pixels have each level, channel by channel. A pass makes what the next one needs of them.
// kStripFloats: what a block holds of a picture, twice. kLongestSide: three channels of a column are within it.
DETCO_SHARED(
    kAugmentPoint,
    enum StepCode {
      kNoStep,
      kBrightness,
      kContrast,
      kSaturation,
      kHue,
      kGrayscale,
      kAutoContrast,
      kEqualize,
      kInvert,
      kPosterize,
      kSolarize,
      kSolarizeAdd,
      kSharpness,
      kAffine,
      kBlurRows,
      kBlurColumns
    };
    enum AugmentSizes { kStepColumns = 8, kPass = 7, kCounts = 7, kStatistics = 775, kStripFloats = 4096, kLongestSide = 1365 };
    enum AffineBits { kPositionBits = 18, kWeightBits = 14 };

    struct Pixel {
      float v[3];
    };

    DETCO_DEVICE bool needsStatistics(int code) { return code == kContrast || code == kAutoContrast || code == kEqualize; }

    DETCO_DEVICE bool isBlur(int code) { return code == kBlurRows || code == kBlurColumns; }

    // Of a pixel that depends on its neighbours, in one pass.
    DETCO_DEVICE bool looksAround(int code) { return code == kSharpness || code == kAffine; }

    // 65536 times the weights of Pillow's L: all sums are whole and below 2^24.
    DETCO_DEVICE float lumaOf(const Pixel& p) {
      return floorf((19595.0f * p.v[0] + 38470.0f * p.v[1] + 7471.0f * p.v[2] + 32768.0f) / 65536.0f);
    }

    // Pillow's Image.blend. The addend keeps exact levels from being cut to those below.
    DETCO_DEVICE float blend(float from, float level, float factor) {
      return fminf(fmaxf(floorf(from + factor * (level - from) + 0.0078125f), 0.0f), 255.0f);
    }

    DETCO_DEVICE Pixel blendAll(float from, const Pixel& p, float factor) {
      return {{blend(from, p.v[0], factor), blend(from, p.v[1], factor), blend(from, p.v[2], factor)}};
    }

    // Through Pillow's 8-bit HSV, the hue turned by so many of its 256 steps.
    DETCO_DEVICE Pixel turnHue(const Pixel& p, float turn) {
      const float r = p.v[0];
      const float g = p.v[1];
      const float b = p.v[2];
      const float value = fmaxf(fmaxf(r, g), b);
      const float chroma = value - fminf(fminf(r, g), b);
      const float divisor = fmaxf(chroma, 1.0f);
      float sextant = (r - g) / divisor + 4.0f;
      if (value == g) sextant = (b - r) / divisor + 2.0f;
      if (value == r) sextant = (g - b) / divisor + (g < b ? 6.0f : 0.0f);
      float hue = floorf(sextant * 42.5f) + turn;
      if (hue >= 256.0f) hue -= 256.0f;
      const float turned = hue * 6.0f;
      const float away[3] = {
          510.0f - fabsf(turned - 765.0f), fabsf(turned - 510.0f) - 255.0f, fabsf(turned - 1020.0f) - 255.0f};
      Pixel out;
      for (int c = 0; c < 3; ++c) {
        out.v[c] = value - rintf(chroma * (fminf(fmaxf(away[c], 0.0f), 255.0f) / 255.0f));
      }
      return out;
    }

    DETCO_DEVICE Pixel stretch(const Pixel& p, const int* statistics) {
      Pixel out;
      for (int c = 0; c < 3; ++c) {
        const float low = static_cast<float>(255 - statistics[4 + c]);
        const float range = static_cast<float>(statistics[1 + c]) - low;
        out.v[c] = range > 0.0f ? floorf((p.v[c] - low) * 255.0f / range + 0.001f) : p.v[c];
      }
      return out;
    }

    // Pillow's ImageOps.equalize of one channel: turns how many of so many pixels have each level into what the level becomes.
    DETCO_DEVICE void equalizeTable(int* counts, int pixels) {
      int last = 255;
      while (last > 0 && counts[last] == 0) last--;
      const int step = (pixels - counts[last]) / 255;
      int sum = step / 2;
      for (int level = 0; level < 256; level++) {
        const int count = counts[level];
        const int place = step == 0 ? level : sum / step;
        counts[level] = place < 255 ? place : 255;
        sum += count;
      }
    }

    // A step of one pixel. statistics: of the picture as the step finds it, of `pixels` pixels, where the step needs them; for equalize its
    // tables in the counts' place.
    DETCO_DEVICE Pixel stepOf(const double* row, const Pixel& p, const int* statistics, int pixels) {
      const int code = static_cast<int>(row[0]);
      const float first = static_cast<float>(row[1]);
      if (code == kBrightness) return blendAll(0.0f, p, first);
      if (code == kSaturation) return blendAll(lumaOf(p), p, first);
      if (code == kHue) return turnHue(p, first);
      if (code == kAutoContrast) return stretch(p, statistics);
      if (code == kContrast) {
        return blendAll(static_cast<float>((2LL * statistics[0] + pixels) / (2LL * pixels)), p, first);
      }
      Pixel out;
      for (int c = 0; c < 3; ++c) {
        const float level = p.v[c];
        out.v[c] = level;
        if (code == kGrayscale) out.v[c] = lumaOf(p);
        if (code == kEqualize) out.v[c] = static_cast<float>(statistics[kCounts + 256 * c + static_cast<int>(level)]);
        if (code == kInvert) out.v[c] = 255.0f - level;
        if (code == kPosterize) out.v[c] = floorf(level / first) * first;
        if (code == kSolarize && level >= first) out.v[c] = 255.0f - level;
        if (code == kSolarizeAdd && level < static_cast<float>(row[2])) out.v[c] = fminf(level + first, 255.0f);
      }
      return out;
    }

    // Pillow's ImageEnhance.Sharpness of the pixel at (y, x) of a picture [H, W, 3]; the outermost pixels stay as they are.
    DETCO_DEVICE Pixel sharpen(const float* picture, int y, int x, int height, int width, float factor) {
      const float* at = picture + (y * width + x) * 3;
      Pixel out;
      for (int c = 0; c < 3; ++c) {
        out.v[c] = at[c];
        if (y == 0 || x == 0 || y == height - 1 || x == width - 1) continue;
        float sum = 4.0f * at[c];
        for (int dy = -1; dy <= 1; ++dy) {
          for (int dx = -1; dx <= 1; ++dx) sum += at[(dy * width + dx) * 3 + c];
        }
        out.v[c] = blend(floorf(sum / 13.0f + 0.5f), at[c], factor);
      }
      return out;
    }

    // Where on an axis of so many pixels a position lies, in steps of 2^-18 pixels from the first pixel's middle to the last one's.
    DETCO_DEVICE int placeAt(double position, int limit) {
      const double place = (position - 0.5) * (1 << kPositionBits);
      const int most = (limit - 1) << kPositionBits;
      return place < 0.0 ? 0 : (place > most ? most : static_cast<int>(place));
    }

    // Pillow's Image.transform(AFFINE, BILINEAR): the pixel at (y, x) is that at (a x' + b y' + c, d x' + e y' + f) of `picture`, x' and y'
    // being middles of pixels; what falls outside is filled. row: code, a, b, c, d, e, f. Weights have 14 bits, as the workers'.
    DETCO_DEVICE Pixel affineAt(const float* picture, int y, int x, int height, int width, const double* row) {
      const double across = row[1] * x + (row[1] * 0.5 + row[2] * (y + 0.5) + row[3]);
      const double down = row[4] * x + (row[4] * 0.5 + row[5] * (y + 0.5) + row[6]);
      if (!(across >= 0.0 && across < width && down >= 0.0 && down < height)) return {{124.0f, 116.0f, 104.0f}};
      const int atX = placeAt(across, width);
      const int atY = placeAt(down, height);
      const int column = atX >> kPositionBits;
      const int line = atY >> kPositionBits;
      const int fraction = (1 << kPositionBits) - 1;
      const int dx = (atX & fraction) >> (kPositionBits - kWeightBits);
      const int dy = (atY & fraction) >> (kPositionBits - kWeightBits);
      const int both = dx * dy >> kWeightBits;
      const float* upper = picture + (line * width + column) * 3;
      const float* lower = upper + (line + 1 < height ? width * 3 : 0);
      const int right = column + 1 < width ? 3 : 0;
      Pixel out;
      for (int c = 0; c < 3; ++c) {
        const int sum = ((1 << kWeightBits) - dx - dy + both) * static_cast<int>(upper[c]) +
            (dx - both) * static_cast<int>(upper[right + c]) + (dy - both) * static_cast<int>(lower[c]) +
            both * static_cast<int>(lower[right + c]);
        out.v[c] = static_cast<float>(sum >> kWeightBits);
      }
      return out;
    }

    // A step of a pixel that looks around.
    DETCO_DEVICE Pixel around(const double* row, const float* picture, int y, int x, int height, int width) {
      if (row[0] == kAffine) return affineAt(picture, y, x, height, width, row);
      return sharpen(picture, y, x, height, width, static_cast<float>(row[1]));
    }

    // One of the three boxes of Pillow's GaussianBlur at place i of a line whose places lie `stride` apart; its ends go on.
    DETCO_DEVICE float boxAt(const float* line, int i, int length, int stride, float radius) {
      const int whole = static_cast<int>(radius);
      const float inner = 1.0f / (2.0f * radius + 1.0f);
      float sum = 0.0f;
      for (int d = -whole - 1; d <= whole + 1; ++d) {
        const int place = i + d < 0 ? 0 : (i + d >= length ? length - 1 : i + d);
        const float weight = d < -whole || d > whole ? (radius - static_cast<float>(whole)) * inner : inner;
        sum += weight * line[place * stride];
      }
      return sum;
    })

}  // namespace detco
