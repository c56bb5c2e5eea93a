/** Pictures that the torch engine cuts out of images, against the workers' kernel; and what it needs to decode images itself. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import { Random } from '#dist/common/random.js';
import { type Engine, type ImageCut, selectEngine } from '#dist/engine/index.js';
import { ScalarType } from '#dist/engine/torch/addon.js';
import type { TorchBackend } from '#dist/engine/torch/backend.js';
import { cutImages, type PlacedImage } from '#dist/engine/torch/jpegs.js';
import { findNvjpeg } from '#dist/engine/torch/nvjpeg.js';
import { Kernels } from '#dist/pipeline/augment/kernels.js';
import { drawPicture } from '#dist/pipeline/augment/parameters.js';
import { recipes, type View } from '#dist/pipeline/index.js';
import { noise } from '../support/bytes.js';
import { whereAvailable } from './available.js';

const torch = await whereAvailable('torch');

torch.describe(`on the CPU${torch.note}`, () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await selectEngine('torch', { device: 'cpu' });
  });
  afterAll(() => engine.dispose());

  /** So many pictures of a view, each of another image, by the kernels of the workers and by the engine. */
  async function cutBoth(view: View, count: number): Promise<[number[], number[]]> {
    const random = new Random(7);
    const sizes = Array.from({ length: count }, (_, i) => ({ width: 3 + ((i * 37) % 200), height: 5 + ((i * 53) % 230) }));
    const files = sizes.map(({ width, height }, i) => noise(3 * width * height, i + 1));
    const plans = sizes.map(({ width, height }) => drawPicture(view, width, height, random).crop);
    const size = plans[0]?.size ?? 0;
    const cuts = plans.map((crop, image): ImageCut => Object.assign({ image, mirrored: image % 2 === 1 }, crop));
    const kernels = await Kernels.load(size);
    const expected = cuts.flatMap((cut, i) => {
      const { width = 0, height = 0 } = sizes[i] ?? {};
      const source = kernels.load(width, height, files[i] ?? new Uint8Array());
      kernels.crop(source, { ...cut, size }, cut.mirrored);
      const out = new Uint8Array(3 * size * size);
      kernels.read(out);
      kernels.unload(source);
      return [...out];
    });
    let offset = 0;
    const placed = sizes.map(({ width, height }): PlacedImage => {
      offset += 3 * width * height;
      return { offset: offset - 3 * width * height, width, height };
    });
    const backend = tf.backend() as TorchBackend;
    return backend.torch.scope(
      () => {
        const pixels = backend.torch.upload(Buffer.concat(files), ScalarType.uint8, [offset]);
        const pictures = cutImages(backend, pixels, placed, cuts, size);
        expect(pictures.shape).toEqual([count, size, size, 3]);
        return [expected, [...pictures.dataSync()]];
      },
      () => [],
    );
  }

  test.each<[string, View | undefined]>([
    ['enlarged and shrunk', recipes.mocoV2({ globalSize: 24 }).views.globalQ],
    ['much shrunk', recipes.mocoV2({ globalSize: 3 }).views.globalQ],
    ['much enlarged', recipes.mocoV2({ globalSize: 190 }).views.globalQ],
    ['centred, and beyond the image', recipes.evaluation({ globalSize: 32 }).views['image']],
    ['continued around', Object.values(recipes.insloc({ globalSize: 64 }).views)[0]],
  ])('pictures are those of the workers: %s', async (_, view) => {
    if (!view) throw new Error('no view');
    const [expected, got] = await cutBoth(view, 40);
    // The compiler may fuse a product and a sum, which moves a weight by its last bit.
    const distances = got.map((level, i) => Math.abs(level - (expected[i] ?? NaN)));
    expect(Math.max(...new Set(distances))).toBeLessThanOrEqual(1);
    expect(distances.filter((distance) => distance > 0).length / distances.length).toBeLessThan(1e-3);
  });

  test('nothing is cut beyond an image, or of one that is not there', () => {
    const backend = tf.backend() as TorchBackend;
    const cut = (image: number, window: ImageCut['window']): ImageCut => ({
      image,
      window,
      left: 0,
      top: 0,
      scaleX: 1,
      scaleY: 1,
      mirrored: false,
    });
    const window = { left: 0, top: 0, width: 4, height: 4 };
    const pixels = backend.torch.adopt(backend.torch.upload(new Uint8Array(48), ScalarType.uint8, [48]));
    const cutOne = (one: ImageCut) => cutImages(backend, pixels, [{ offset: 0, width: 4, height: 4 }, undefined], [one], 2);
    expect(cutOne(cut(0, window)).shape).toEqual([1, 2, 2, 3]);
    expect(() => cutOne(cut(1, window))).toThrow('a cut of image 1, which is not among those that were decoded');
    expect(() => cutOne(cut(2, window))).toThrow('a cut of image 2');
    for (const beyond of [{ left: 1 }, { top: -1 }, { width: 5 }, { height: 0 }])
      expect(() => cutOne(cut(0, { ...window, ...beyond }))).toThrow('reaches beyond its image of 4 x 4');
    backend.torch.free(pixels);
  });

  test('a CPU has no decoder, and says so', () => {
    expect(() => engine.openJpegDecoder?.()).toThrow('device cpu has no JPEG decoder: expected an NVIDIA GPU');
  });
});

test("nvJPEG is found beside pip's torch, in torchvision's wheel and in a toolkit, in this order", async () => {
  const folder = await mkdtemp(join(tmpdir(), 'detco-nvjpeg-'));
  const root = join(folder, 'site-packages/torch');
  const env = { CUDA_HOME: join(folder, 'cuda') };
  const places = [
    'cuda/lib64/libnvjpeg.so.12.4.0.76',
    'site-packages/torchvision.libs/libnvjpeg.36e11081.so.13',
    'site-packages/nvidia/cu13/lib/libnvjpeg.so.13',
  ];
  await mkdir(root, { recursive: true });
  await mkdir(join(folder, 'site-packages/nvidia/cublas/lib'), { recursive: true });
  for (const place of places) {
    const file = join(folder, place);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, '');
    await writeFile(join(dirname(file), 'libnvjpeg_static.a'), '');
    expect(findNvjpeg(root, env)).toBe(file);
  }
  await rm(folder, { recursive: true });
});
