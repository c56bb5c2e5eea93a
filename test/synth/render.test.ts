import { describe, expect, test } from '@jest/globals';
import { render } from '#dist/synth/render.js';
import { drawScene } from '#dist/synth/scene.js';

const sets = [
  { name: 'small', options: { seed: 1, size: [64, 48] as const, photo: false }, count: 24 },
  { name: 'photographs', options: { seed: 1, photo: true }, count: 2 },
];

describe.each(sets)('$name', ({ options, count }) => {
  const pictures = Array.from({ length: count }, (_, i) => ({ scene: drawScene(options, i), picture: render(drawScene(options, i)) }));

  test('the box is the extent of the mask: no pixel of the object outside, one on every side', () => {
    for (const { picture } of pictures) {
      const { box, mask, width } = picture;
      const sides = { left: 0, right: 0, top: 0, bottom: 0 };
      let outside = 0;
      mask.forEach((share, i) => {
        if (share < 128) return;
        const x = i % width;
        const y = (i - x) / width;
        if (x < box.x || y < box.y || x >= box.x + box.width || y >= box.y + box.height) outside++;
        if (x === box.x) sides.left++;
        if (y === box.y) sides.top++;
        if (x === box.x + box.width - 1) sides.right++;
        if (y === box.y + box.height - 1) sides.bottom++;
      });
      expect(outside).toBe(0);
      expect(Math.min(...Object.values(sides))).toBeGreaterThan(0);
    }
  });

  test('the object lies wholly inside and takes a third to three quarters of the shorter side', () => {
    for (const { picture } of pictures) {
      const { box, mask, width, height } = picture;
      expect(box.x).toBeGreaterThanOrEqual(0);
      expect(box.y).toBeGreaterThanOrEqual(0);
      expect(box.x + box.width).toBeLessThanOrEqual(width);
      expect(box.y + box.height).toBeLessThanOrEqual(height);
      const share = Math.max(box.width, box.height) / Math.min(width, height);
      expect(share).toBeGreaterThan(0.35);
      expect(share).toBeLessThan(0.9);
      // The frame is free of it: nothing was cut off.
      for (let x = 0; x < width; x++) expect((mask[x] ?? 0) + (mask[(height - 1) * width + x] ?? 0)).toBe(0);
      for (let y = 0; y < height; y++) expect((mask[y * width] ?? 0) + (mask[y * width + width - 1] ?? 0)).toBe(0);
    }
  });

  test('the same seed and index give the same pixels; another seed or index others', () => {
    const { scene, picture } = pictures[1] ?? { scene: drawScene(options, 1), picture: undefined };
    expect(Buffer.from(render(drawScene(options, scene.index)).data).equals(Buffer.from(picture?.data ?? []))).toBe(true);
    expect(Buffer.from(render(drawScene({ ...options, seed: 2 }, 1)).data).equals(Buffer.from(picture?.data ?? []))).toBe(false);
    expect(new Set(pictures.map(({ picture: { data } }) => Buffer.from(data).toString('latin1'))).size).toBe(count);
  });

  test('the tones of the object differ in grey, so the texture survives the loss of colour', () => {
    for (const { scene } of pictures) {
      const [a, b] = scene.object.tones.map(([r, g, blue]) => 0.2126 * r + 0.7152 * g + 0.0722 * blue);
      expect(Math.max(a ?? 0, b ?? 0) / Math.min(a ?? 0, b ?? 0)).toBeGreaterThan(2);
    }
  });
});

test('photographs come in sizes like those of ImageNet, upright ones among them', () => {
  const scenes = Array.from({ length: 400 }, (_, i) => drawScene({ seed: 4, photo: true }, i));
  const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  expect(mean(scenes.map(({ width }) => width))).toBeGreaterThan(440);
  expect(mean(scenes.map(({ width }) => width))).toBeLessThan(510);
  expect(mean(scenes.map(({ height }) => height))).toBeGreaterThan(370);
  expect(mean(scenes.map(({ height }) => height))).toBeLessThan(430);
  const upright = scenes.filter(({ width, height }) => height > width).length / scenes.length;
  expect(upright).toBeGreaterThan(0.1);
  expect(upright).toBeLessThan(0.35);
});
