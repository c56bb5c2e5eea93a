#!/bin/sh
# Subject: sharp 0.35.5 (npm, libvips 8.18.7), resize() to a size that is larger than the picture along one side or both.
#
# A crop that is resized to the size of a view is larger than the view for one image and smaller for the next. One would guess that
# the centres of picture and result coincide, as they do in Pillow and torchvision, so that boxes can be scaled with the picture.
#
# Seen: where a side is enlarged the content lies half a pixel of the result too far to the right and too low, by all kernels but
# `nearest`. It is enough that one side grows: the other one, which shrinks, is moved as well, though it is not when both
# shrink. The resized mirror image is then not the mirror image of what was resized.
#
# Exits with 1 when that is no longer so.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo '{ "type": "module", "private": true }' > package.json
npm install --silent sharp@0.35.5
cat > shift.js <<'JS'
import sharp from 'sharp';

/** How far a horizontal ramp lies from its place after a resize, pixels of the result to the right. */
async function shift(width, height, toWidth, toHeight) {
  const ramp = Uint8Array.from({ length: width * height }, (_, i) => 4 * (i % width));
  const resized = sharp(ramp, { raw: { width, height, channels: 1 } }).resize(toWidth, toHeight, { fit: 'fill', kernel: 'linear' });
  const row = (await resized.toColourspace('b-w').raw().toBuffer()).subarray(0, toWidth);
  const scale = width / toWidth;
  const moved = Array.from(row, (level, i) => ((i + 0.5) * scale - 0.5 - level / 4) / scale).slice(4, -4);
  return moved.reduce((sum, one) => sum + one) / moved.length;
}

const shifts = [];
for (const [size, to] of [
  [[48, 48], [24, 24]],
  [[24, 24], [48, 48]],
  [[48, 20], [24, 24]],
]) {
  const moved = await shift(...size, ...to);
  shifts.push(moved);
  console.log(`${size.join('x')} to ${to.join('x')}: moved by ${moved.toFixed(2)} pixels of the result`);
}
const [smaller, larger, mixed] = shifts;
process.exitCode = Math.abs(smaller) < 0.1 && Math.abs(larger - 0.5) < 0.1 && Math.abs(mixed - 0.5) < 0.1 ? 0 : 1;
JS
node shift.js
