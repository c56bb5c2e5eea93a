/** Batches whose images come compressed, on a device that decodes: here with the workers' own decoder and kernels in a device's place. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import sharp from 'sharp';
import { type Engine, type JpegDecoder, selectEngine } from '#dist/engine/index.js';
import { methodKind } from '#dist/model/index.js';
import { Kernels, type Source } from '#dist/pipeline/augment/kernels.js';
import { type Batch, createPipeline, decodeCompressed, type PipelineOptions, type Recipe, recipes } from '#dist/pipeline/index.js';
import { JpegDecoder as WorkersDecoder } from '#dist/pipeline/jpeg/decoder.js';
import { jpegHeader } from '#dist/pipeline/jpeg/header.js';
import { decodeOnDevice } from '#dist/train/device-decode.js';
import { createOptimizer } from '#dist/train/optimizer/index.js';
import { createTrainStep } from '#dist/train/step.js';
import { fixtureSamples } from '../support/images.js';
import { narrowOptions } from '../support/small-method.js';
import { tarOf } from '../support/tar.js';

let folder: string;
let options: Omit<PipelineOptions, 'recipe'>;
let engine: Engine;
let jpeg: WorkersDecoder;
let kernels: Kernels;

beforeAll(async () => {
  [engine, jpeg, kernels] = [await selectEngine('wasm'), await WorkersDecoder.load(), await Kernels.load(64)];
  folder = await mkdtemp(join(tmpdir(), 'detco-device-decode-'));
  const members = (await fixtureSamples(24)).map(async ({ image }, i) => {
    // Every third is for its worker.
    const body = await sharp(image)
      .resize(90 + i, 70, { fit: 'fill' })
      .jpeg({ progressive: i % 3 === 2 })
      .toBuffer();
    return { name: `${i}.jpg`, body };
  });
  await writeFile(join(folder, '0.tar'), await tarOf(await Promise.all(members)));
  options = { shards: join(folder, '0.tar'), batchSize: 8, lanes: 1, workers: 1, augment: 'device', decode: 'device' };
});
afterAll(async () => {
  await engine.dispose();
  await rm(folder, { recursive: true });
});

/** @param refuses which of the files of a batch, from 0 */
function decoderOf(refuses: (file: number) => boolean = () => false): JpegDecoder & { readonly kept: Set<Source> } {
  const kept = new Set<Source>();
  return {
    kept,
    decode(files) {
      const sources = files.map(({ data, width, height }) => {
        const bytes = data.slice();
        const header = jpegHeader(bytes);
        const source = header && kernels.fill(width, height, (pixels) => jpeg.decode(bytes, header, pixels));
        if (!source) throw new Error('the decoder refused');
        kept.add(source);
        return source;
      });
      return {
        refused: [...files.keys()].filter(refuses),
        cut(cuts, size) {
          const levels = cuts.flatMap((cut) => {
            if (refuses(cut.image)) throw new Error('a cut of an image that was refused');
            const out = new Uint8Array(3 * size * size);
            kernels.crop(sources[cut.image] as Source, { ...cut, size }, cut.mirrored);
            kernels.read(out);
            return [...out];
          });
          return tf.tensor4d(levels, [cuts.length, size, size, 3]);
        },
        dispose() {
          for (const source of sources) {
            kernels.unload(source);
            kept.delete(source);
          }
        },
      };
    },
  };
}

const values = (tensor: tf.Tensor): number[] => [...tensor.dataSync()];

describe.each<[string, Recipe]>([
  ['detco', recipes.detco({ globalSize: 24, patchSize: 8 })],
  ['swav', recipes.swav({ globalSize: 24, localSize: 12 })],
  ['rotation', recipes.rotation({ globalSize: 24 })],
  ['colorization', recipes.colorization({ globalSize: 24 })],
])('views of recipe %s are those of the workers, in their rows', (_, recipe) => {
  test.each([
    ['all', () => false],
    ['every second image', (file: number) => file % 2 === 1],
    ['none', () => true],
  ])('where the device decodes %s', async (__, refuses) => {
    for await (const batch of await createPipeline({ ...options, recipe })) {
      const decoder = decoderOf(refuses);
      const decoded = await decodeOnDevice(batch, decoder, engine);
      const levels = Object.values(decoded.batch.views).map((view) => decoded.levels(view));
      decoded.dispose();
      expect(decoder.kept.size).toBe(0);
      const expected = Object.values((await decodeCompressed(batch)).views);
      expect(levels.map(({ shape }) => shape)).toEqual(expected.map(({ shape }) => shape));
      expect(levels.map(values)).toEqual(expected.map(({ data }) => Array.from(data)));
      tf.dispose(levels);
    }
  });
});

test('an update gets the tensors of a batch that workers decoded, and the slot goes back', async () => {
  const narrow = { arch: 'resnet18', width: 4, stem: 'small', dim: 8, queueSize: 16 };
  const method = methodKind('moco').create(engine, narrowOptions('moco', narrow, 24), 1);
  const optimizer = createOptimizer(engine, method.parameters, { name: 'sgd', momentum: 0.9, weightDecay: 0 });
  const decoder = decoderOf((file) => file === 1);
  const refused: string[] = [];
  const onRefused = (samples: Batch['samples']): void => void refused.push(...samples.map(({ key }) => key));
  const step = createTrainStep({ engine, method, optimizer, decoder, onRefused });
  const recipe = recipes.mocoV2({ globalSize: 24 });
  for await (const batch of await createPipeline({ ...options, recipe })) {
    let released = 0;
    const release = (): void => void released++;
    const before = tf.memory().numTensors;
    const lent: Batch = { ...batch, plans: batch.plans, retain: () => undefined, release };
    const { tensors } = await step.stage(lent);
    expect(released).toBe(1);
    expect(decoder.kept.size).toBe(0);
    const [, second] = lent.samples.filter((_, row) => lent.compressed?.[row]);
    expect(refused.splice(0)).toEqual([second?.key]);
    const { tensors: expected } = await step.stage({ ...(await decodeCompressed(lent)), release });
    for (const [name, tensor] of Object.entries(expected)) expect(values(tensors[name] as tf.Tensor)).toEqual(values(tensor));
    tf.dispose([tensors, expected]);
    expect(tf.memory().numTensors).toBe(before);
  }
  method.dispose();
});
