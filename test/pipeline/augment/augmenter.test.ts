import { beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Augmenter, createAugmenter, type DecodedImage } from '#dist/pipeline/augment/augmenter.js';
import { execute } from '#dist/pipeline/augment/execute.js';
import { Kernels, type Source } from '#dist/pipeline/augment/kernels.js';
import { drawPicture, type Step, type PicturePlan } from '#dist/pipeline/augment/parameters.js';
import { type MultiCropView, type Recipe, type RotationsView, viewBytes } from '#dist/pipeline/augment/recipe.js';
import { recipes } from '#dist/pipeline/augment/recipes.js';
import { Random, streamId } from '#dist/common/random.js';

const SAMPLE = { seed: 1, epoch: 2, shard: 3, index: 4 };
const RECIPE = recipes.detco({ globalSize: 48, patchSize: 16 });
/** The same crops without operations. */
const PLAIN: Recipe = {
  name: 'plain',
  views: Object.fromEntries(Object.entries(RECIPE.views).map(([name, view]) => [name, { ...view, operations: [] }])),
};

/** A picture in which every pixel is its own: structure and noise. */
function picture(width: number, height: number): DecodedImage {
  const random = new Random(9);
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => 128 + 60 * Math.sin(i / 97) + 60 * (random.uniform() - 0.5));
  return { width, height, data };
}

function buffers(recipe: Recipe): Record<string, Uint8Array> {
  return Object.fromEntries(
    Object.entries(recipe.views).map(([name, view]) => [name, new Uint8Array(new SharedArrayBuffer(viewBytes(view)))]),
  );
}

function rendered(augmenter: Augmenter, recipe: Recipe, image: DecodedImage, sample = SAMPLE): Record<string, Buffer> {
  const out = buffers(recipe);
  const loaded = augmenter.load(image);
  loaded.render(sample, out);
  loaded.unload();
  return Object.fromEntries(Object.entries(out).map(([name, bytes]) => [name, Buffer.from(bytes)]));
}

describe('render', () => {
  const image = picture(97, 71);
  let augmenter: Augmenter;
  let plain: Augmenter;
  beforeAll(async () => {
    augmenter = await createAugmenter(RECIPE);
    plain = await createAugmenter(PLAIN);
  });

  test('gives the same bytes for the same sample, whatever was rendered before', async () => {
    const first = rendered(augmenter, RECIPE, image);
    rendered(augmenter, RECIPE, picture(300, 200), { ...SAMPLE, index: 5 });
    expect(rendered(augmenter, RECIPE, image)).toEqual(first);
    expect(rendered(await createAugmenter(RECIPE), RECIPE, image)).toEqual(first);
  });

  test('looks at nothing outside of the windows that it tells', async () => {
    const crops = recipes.mocoV2({ globalSize: 32 });
    const narrow = await createAugmenter(crops);
    let poisoned = 0;
    for (let index = 0; index < 40; index++) {
      const sample = { ...SAMPLE, index };
      const windows = narrow.windows(image.width, image.height, sample);
      expect(windows).toHaveLength(2);
      const data = image.data.map((byte, i) => {
        const [x, y] = [Math.floor(i / 3) % image.width, Math.floor(i / 3 / image.width)];
        const inside = windows.some(({ left, top, width, height }) => x >= left && x < left + width && y >= top && y < top + height);
        poisoned += Number(!inside);
        return inside ? byte : 255 - byte;
      });
      expect(rendered(narrow, crops, { ...image, data }, sample)).toEqual(rendered(narrow, crops, image, sample));
    }
    expect(poisoned).toBeGreaterThan(0);
  });

  test('decodes into its own memory, and gives that back if it failed', () => {
    const whole = rendered(augmenter, RECIPE, image);
    const write = (pixels: Uint8Array): boolean => {
      pixels.set(image.data);
      return true;
    };
    expect(augmenter.fill(97, 71, 1, () => false)).toBeUndefined();
    const { loaded, out } = { loaded: augmenter.fill(97, 71, 1, write), out: buffers(RECIPE) };
    expect([loaded?.size, loaded?.bytes]).toEqual([{ width: 97, height: 71 }, 97 * 71 * 3]);
    loaded?.render(SAMPLE, out);
    loaded?.unload();
    expect(Object.fromEntries(Object.entries(out).map(([name, bytes]) => [name, Buffer.from(bytes)]))).toEqual(whole);
  });

  test('images that wait together do not touch each other, and freed memory is used again', () => {
    const sizes = [20, 300, 97, 150, 20, 260];
    const pictures = sizes.map((side) => picture(side, side));
    const alone = pictures.map((one) => rendered(augmenter, RECIPE, one));
    const loaded = pictures.map((one) => augmenter.load(one));
    // The middle ones go and others come in their place.
    for (const i of [1, 2, 3]) loaded[i]?.unload();
    for (const i of [3, 1, 2]) loaded[i] = augmenter.load(pictures[i] as DecodedImage);
    loaded.forEach((one, i) => {
      const out = buffers(RECIPE);
      one.render(SAMPLE, out);
      for (const [name, bytes] of Object.entries(out)) expect(Buffer.from(bytes).equals(alone[i]?.[name] as Buffer)).toBe(true);
    });
  });

  test('gives other bytes for another seed, epoch, shard, index or view name', () => {
    const all = [SAMPLE, { ...SAMPLE, seed: 9 }, { ...SAMPLE, epoch: 9 }, { ...SAMPLE, shard: 9 }, { ...SAMPLE, index: 9 }].map((sample) =>
      rendered(augmenter, RECIPE, image, sample),
    );
    for (const views of [
      ['globalQ', 'globalK'],
      ['patchesQ', 'patchesK'],
    ]) {
      const bytes = all.flatMap((one) => views.map((name) => one[name]?.toString('base64')));
      expect(new Set(bytes).size).toBe(10);
    }
  });

  test('a view does not depend on which other views the recipe has', async () => {
    const { globalK } = RECIPE.views;
    if (globalK === undefined) throw new Error('recipes.detco() has no globalK');
    const alone: Recipe = { name: 'alone', views: { globalK } };
    const one = rendered(await createAugmenter(alone), alone, image);
    expect(one['globalK']).toEqual(rendered(augmenter, RECIPE, image)['globalK']);
  });

  test('a multicrop view holds crop after crop, each drawn after the one before it', async () => {
    const crop = { op: 'randomResizedCrop', scale: [0.05, 0.14], ratio: [3 / 4, 4 / 3] } as const;
    const crops: MultiCropView = { ...recipes.mocoV2().views.globalQ, kind: 'multicrop', crops: 5, size: 20, crop };
    const recipe = { name: 'crops', views: { crops } };
    const bytes = rendered(await createAugmenter(recipe), recipe, image)['crops'];
    const kernels = await Kernels.load(20);
    const source = kernels.load(image.width, image.height, image.data);
    const random = new Random(SAMPLE.seed, SAMPLE.epoch, SAMPLE.shard, SAMPLE.index, streamId('crops'));
    const wanted = Array.from({ length: 5 }, () => {
      const out = new Uint8Array(20 * 20 * 3);
      execute(kernels, source, drawPicture(crops, image.width, image.height, random), out);
      return Buffer.from(out);
    });
    expect(bytes).toEqual(Buffer.concat(wanted));
    expect(new Set(wanted.map((one) => one.toString('base64'))).size).toBe(5);
  });

  test('a flat image of any size gives flat crops, whole to the last byte', () => {
    const side = fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 300 }));
    fc.assert(
      fc.property(side, side, fc.integer({ min: 0, max: 1e6 }), (width, height, index) => {
        const grey: DecodedImage = {
          width,
          height,
          data: new Uint8Array(width * height * 3).fill(77),
        };
        const out = buffers(PLAIN);
        for (const bytes of Object.values(out)) bytes.fill(1);
        const loaded = plain.load(grey);
        loaded.render({ ...SAMPLE, index }, out);
        loaded.unload();
        for (const bytes of Object.values(out)) expect(bytes.every((value) => value === 77)).toBe(true);
        for (const bytes of Object.values(rendered(augmenter, RECIPE, grey, { ...SAMPLE, index }))) expect(bytes.length).toBeGreaterThan(0);
      }),
      { numRuns: 60 },
    );
  });
  test('refuses an image whose size and data disagree, quoting both', () => {
    expect(() => augmenter.load({ width: 4, height: 3, data: new Uint8Array(35) })).toThrow('4 x 3 pixels with 35 bytes');
    expect(() => augmenter.load({ width: 0, height: 3, data: new Uint8Array(0) })).toThrow('0 x 3 pixels');
  });

  test('refuses a missing buffer and one of the wrong length, naming the view', () => {
    const { globalQ, ...others } = buffers(RECIPE);
    const loaded = augmenter.load(image);
    expect(() => loaded.render(SAMPLE, others)).toThrow('out.globalQ has no bytes');
    expect(() => loaded.render(SAMPLE, { ...others, globalQ: new Uint8Array(5) })).toThrow(
      'out.globalQ has 5 bytes: this view needs exactly 6912',
    );
    expect(globalQ).toHaveLength(6912);
  });
});

describe('execute', () => {
  const image = picture(120, 90);
  let kernels: Kernels;
  let source: Source;
  beforeAll(async () => {
    kernels = await Kernels.load(255);
    source = kernels.load(image.width, image.height, image.data);
  });

  const crop = {
    window: { left: 10, top: 5, width: 100, height: 80 },
    left: 10,
    top: 5,
    scaleX: 100 / 60,
    scaleY: 80 / 60,
    size: 60,
  };

  function run(steps: readonly Step[]): Uint8Array {
    const out = new Uint8Array(60 * 60 * 3);
    execute(kernels, source, { crop, steps }, out);
    return out;
  }

  function mirrored(bytes: Uint8Array, side: number): Uint8Array {
    return Uint8Array.from(
      bytes,
      (_, i) => bytes[(Math.floor(i / 3 / side) * side + (side - 1 - (Math.floor(i / 3) % side))) * 3 + (i % 3)] ?? 0,
    );
  }

  /** Counter-clockwise: the pixel at (x, y) comes from (side - 1 - y, x). */
  function quarterTurn(bytes: Uint8Array, side: number): Uint8Array {
    return Uint8Array.from(bytes, (_, i) => {
      const [x, y] = [Math.floor(i / 3) % side, Math.floor(i / 3 / side)];
      return bytes[3 * (x * side + side - 1 - y) + (i % 3)] ?? 0;
    });
  }

  test.each<readonly [string, readonly Step[]]>([
    ['the crop', []],
    [
      'colour and blur',
      [
        { op: 'hue', shift: 0.1 },
        { op: 'contrast', factor: 1.3 },
        { op: 'gaussianBlur', sigma: 1.7 },
      ],
    ],
    ['sharpness', [{ op: 'sharpness', factor: 1.9 }]],
  ])('a flip after %s mirrors the result exactly', (_, steps) => {
    expect(run([...steps, { op: 'horizontalFlip' }])).toEqual(mirrored(run(steps), 60));
  });

  test('a flip after a geometric operation happens after it', () => {
    const shift: Step = { op: 'translateX', fraction: 0.4 };
    expect(run([shift, { op: 'horizontalFlip' }])).toEqual(mirrored(run([shift]), 60));
    expect(run([{ op: 'horizontalFlip' }, shift])).not.toEqual(run([shift, { op: 'horizontalFlip' }]));
  });

  test('every patch of a jigsaw is found in the cell it came from, at its offset', () => {
    const view = recipes.detco().views.patchesQ;
    if (view?.kind !== 'jigsaw') throw new Error('recipes.detco() has no patchesQ');
    const plan = drawPicture(view, image.width, image.height, new Random(3, 0, 0, 0, streamId('patchesQ')));
    const { jigsaw, ...canvasPlan }: PicturePlan = plan;
    if (jigsaw === undefined) throw new Error('a jigsaw view has no jigsaw plan');
    const canvas = new Uint8Array(255 * 255 * 3);
    execute(kernels, source, canvasPlan, canvas);
    const patches = new Uint8Array(viewBytes(view));
    execute(kernels, source, plan, patches);
    jigsaw.order.forEach((cell, i) => {
      const [x, y] = jigsaw.offsets[cell] ?? [Number.NaN, Number.NaN];
      for (let line = 0; line < 64; line++) {
        const from = ((Math.floor(cell / 3) * 85 + y + line) * 255 + (cell % 3) * 85 + x) * 3;
        const to = (i * 64 + line) * 64 * 3;
        expect(Buffer.compare(patches.subarray(to, to + 192), canvas.subarray(from, from + 192))).toBe(0);
      }
    });
  });

  test('a view of rotations is one picture after all operations, and its three turns', () => {
    const operations = [{ op: 'colorJitter', brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1, p: 1 } as const];
    const view: RotationsView = { ...recipes.rotation({ globalSize: 37 }).views.rotations, operations };
    const plan = drawPicture(view, image.width, image.height, new Random(3, 0, 0, 0, streamId('rotations')));
    const { turns, ...upright }: PicturePlan = plan;
    expect(turns).toBe(4);
    const picture = new Uint8Array(37 * 37 * 3);
    execute(kernels, source, upright, picture);
    const wanted: Uint8Array[] = [picture];
    for (let turn = 1; turn < 4; turn++) wanted.push(quarterTurn(wanted.at(-1) ?? new Uint8Array(), 37));
    const out = new Uint8Array(viewBytes(view));
    execute(kernels, source, plan, out);
    expect(Buffer.concat(wanted).equals(out)).toBe(true);
  });

  test('a blur wider than any recipe uses keeps a flat image flat and the mean of any other', () => {
    const mean = (bytes: Uint8Array): number => bytes.reduce((sum, value) => sum + value, 0) / bytes.length;
    for (const sigma of [0.3, 2.4, 2.5, 5, 8]) {
      const flat = new Uint8Array(50 * 40 * 3).fill(201);
      const out = new Uint8Array(flat.length);
      kernels.setImage(50, 40, flat);
      kernels.gaussianBlur(sigma);
      kernels.read(out);
      expect(out).toEqual(flat);
      expect(Math.abs(mean(run([{ op: 'gaussianBlur', sigma }])) - mean(run([])))).toBeLessThan(1);
    }
  });

  test('refuses a working image larger than the kernels were loaded for', () => {
    expect(() => kernels.setImage(300, 10, new Uint8Array(9000))).toThrow('300 x 10');
  });
});
