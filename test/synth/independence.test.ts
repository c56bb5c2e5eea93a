/** The classes must be learnt from shape and texture: nothing cheaper may give them away. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createReadStream } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { beforeAll, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { extract } from 'tar-stream';
import { CLASSES, classAt } from '#dist/synth/classes.js';
import { drawScene } from '#dist/synth/scene.js';
import { synthesise } from '#dist/synth/synthesise.js';

const COUNT = 600;
const CHANCE = 1 / CLASSES.length;
const OPTIONS = { seed: 11, size: [64, 64], photo: false } as const;

const labels = Array.from({ length: COUNT }, (_, i) => classAt(OPTIONS.seed, i).label);
const features = { histogram: [] as Float32Array[], pixels: [] as Float32Array[] };

beforeAll(async () => {
  const dir = await mkdtemp(join(tmpdir(), 'detco-independence-'));
  await synthesise({ ...OPTIONS, dir, prefix: 'train', count: COUNT, perShard: COUNT, quality: 90 });
  for await (const entry of createReadStream(join(dir, 'train-000.tar')).pipe(extract())) {
    const data = await buffer(entry);
    if (!entry.header.name.endsWith('.jpg')) continue;
    features.histogram.push(colourHistogram(await sharp(data).raw().toBuffer()));
    features.pixels.push(centred(await sharp(data).resize(16, 16).raw().toBuffer()));
  }
  await rm(dir, { recursive: true });
});

describe.each(['histogram', 'pixels'] as const)('nearest neighbours by %s, each picture against the others', (feature) => {
  test('find the class less than 2.5 times as often as chance', () => {
    for (const accuracy of accuracies(features[feature], [1, 5, 20])) expect(accuracy).toBeLessThan(2.5 * CHANCE);
  });
});

test('the measure finds the class where it is given', () => {
  const given = labels.map((label) => Float32Array.from({ length: CLASSES.length }, (_, i) => Number(i === label)));
  expect(accuracies(given, [1, 20])).toEqual([1, 1]);
});

const scenes = Array.from({ length: COUNT }, (_, i) => drawScene(OPTIONS, i));

/** Share of a factor's variance that the class explains; by chance alone about (classes - 1) / (count - 1) = 0.038. */
test.each([
  ['x', (s: (typeof scenes)[number]) => s.object.x],
  ['y', (s: (typeof scenes)[number]) => s.object.y],
  ['radius', (s: (typeof scenes)[number]) => s.object.radius],
  ['angle', (s: (typeof scenes)[number]) => s.object.angle],
  ['object hue', (s: (typeof scenes)[number]) => s.object.hue],
  ['first tone', (s: (typeof scenes)[number]) => s.object.tones[0][1]],
  ['background hue', (s: (typeof scenes)[number]) => s.background.hue],
  ['background light', (s: (typeof scenes)[number]) => s.background.colours[0][1]],
  ['light azimuth', (s: (typeof scenes)[number]) => s.light.azimuth],
  ['exposure', (s: (typeof scenes)[number]) => s.light.gain[1]],
])('%s does not depend on the class', (_, factor) => {
  const values = scenes.map(factor);
  const mean = (list: number[]): number => list.reduce((sum, value) => sum + value, 0) / list.length;
  const spread = (list: number[]): number => mean(list.map((value) => (value - mean(list)) ** 2));
  const within = mean(CLASSES.map(({ label }) => spread(values.filter((_value, i) => scenes[i]?.class.label === label))));
  expect(1 - within / spread(values)).toBeLessThan(0.09);
});

/** Leave-one-out accuracies of a vote among the k nearest by Euclidean distance. */
function accuracies(vectors: readonly Float32Array[], ks: readonly number[]): number[] {
  const right = ks.map(() => 0);
  vectors.forEach((vector, i) => {
    const distances = Float64Array.from(vectors, (other, j) => (i === j ? Infinity : squaredDistance(vector, other)));
    const nearest = Array.from(vectors.keys()).toSorted((a, b) => (distances[a] ?? 0) - (distances[b] ?? 0));
    ks.forEach((k, which) => {
      const votes = new Float64Array(CLASSES.length);
      nearest.slice(0, k).forEach((j, rank) => {
        const label = labels[j] ?? 0;
        // Ties go to the nearer.
        votes[label] = (votes[label] ?? 0) + 1 - rank * 1e-4;
      });
      if (votes.indexOf(Math.max(...votes)) === labels[i]) right[which] = (right[which] ?? 0) + 1;
    });
  });
  return right.map((count) => count / vectors.length);
}

function squaredDistance(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    sum += difference * difference;
  }
  return sum;
}

/** Less the picture's own mean: exposure is no excuse. */
function centred(data: Uint8Array): Float32Array {
  const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
  return Float32Array.from(data, (value) => value - mean);
}

/** 4x4x4 bins, square roots: Hellinger's distance. */
function colourHistogram(data: Uint8Array): Float32Array {
  const bins = new Float32Array(64);
  for (let i = 0; i < data.length; i += 3) {
    const bin = ((data[i] ?? 0) >> 6) * 16 + ((data[i + 1] ?? 0) >> 6) * 4 + ((data[i + 2] ?? 0) >> 6);
    bins[bin] = (bins[bin] ?? 0) + 3 / data.length;
  }
  return bins.map(Math.sqrt);
}
