// Arithmetic of augmentation, for the CPU and, as text, for NVRTC, from one definition. Levels are whole numbers 0..255 in float32.
// Conventions are Pillow's; the composition of src/engine/operations/augment.ts computes the same.
#pragma once

#include <cmath>

namespace detco {

#define DETCO_DEVICE inline
#define DETCO_SHARED(NAME, ...) \
  __VA_ARGS__                   \
  constexpr const char* NAME = #__VA_ARGS__;

// Codes: those of STEP_CODES in src/engine/operations/picture-steps.ts. A row of the table: code, two parameters, pass.
// Statistics of a picture, which begin at 0: sum of luma, and of each channel the largest level and the largest 255 - level.
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
      kInvert,
      kPosterize,
      kSolarize,
      kSolarizeAdd,
      kSharpness,
      kBlurRows,
      kBlurColumns
    };
    enum AugmentSizes { kStepColumns = 4, kStatistics = 7, kStripFloats = 4096, kLongestSide = 1365 };

    struct Pixel {
      float v[3];
    };

    DETCO_DEVICE bool needsStatistics(int code) { return code == kContrast || code == kAutoContrast; }

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

    // A step of one pixel. statistics: of the picture as the step finds it, of `pixels` pixels, where the step needs them.
    DETCO_DEVICE Pixel stepOf(const float* row, const Pixel& p, const int* statistics, int pixels) {
      const int code = static_cast<int>(row[0]);
      const float first = row[1];
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
        if (code == kInvert) out.v[c] = 255.0f - level;
        if (code == kPosterize) out.v[c] = floorf(level / first) * first;
        if (code == kSolarize && level >= first) out.v[c] = 255.0f - level;
        if (code == kSolarizeAdd && level < row[2]) out.v[c] = fminf(level + first, 255.0f);
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

#undef DETCO_SHARED
#undef DETCO_DEVICE

}  // namespace detco
