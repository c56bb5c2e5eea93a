/** How bench:quality measures localisation: known answers, and COCO's own program. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Random } from '#dist/common/random.js';
import { type Engine, selectEngine } from '#dist/engine/index.js';
import { LINEAR_PROTOCOLS } from '#dist/eval/linear-protocols.js';
import { wherePythonHas } from '../support/python.js';
import { type Labelled, load } from './load.js';

type Box = Labelled['box'];
type Detection = Labelled & { readonly score: number };

/** Cells of maps, image after image, row by row. */
interface Cells {
  readonly features: Float32Array;
  readonly dimensions: number;
  readonly grid: number;
}
interface Maps {
  readonly cells: { readonly res3: Cells; readonly res4: Cells };
  readonly boxes: readonly (readonly Labelled[])[];
}

const { inCrop, cellMiddles, coveredBy, overlap } = await load<{
  inCrop(box: object, picture: object, crop: { readonly size: number; readonly fraction: number }): number[];
  cellMiddles(grid: number, size: number): number[][];
  coveredBy(boxes: readonly Box[], grid: number, size: number, share?: number): number[];
  overlap(a: Box, b: Box): number;
}>('boxes');
const { cellLabels, balancedAccuracy, probeCells } = await load<{
  cellLabels(boxes: readonly (readonly Labelled[])[], grid: number, size: number, background: number): number[];
  balancedAccuracy(guessed: readonly number[], labels: readonly number[]): number;
  probeCells(engine: Engine, train: object, test: object, options: object): Promise<number>;
}>('cell-probe');
const { meanAp50, suppress } = await load<{
  meanAp50(found: readonly (readonly Detection[])[], objects: readonly (readonly Labelled[])[], classes: number): number;
  suppress(detections: readonly Detection[]): Detection[];
}>('ap50');
const { detectorAp50 } = await load<{
  detectorAp50(engine: Engine, train: Maps, test: Maps, options: object): Promise<number>;
}>('detector');

test('a box lies in the crop where it lay in the picture', () => {
  // A picture of 100 x 60, of which the middle 30 x 30 becomes 60 x 60: it begins at (35, 15).
  const crop = { size: 60, fraction: 0.5 };
  const picture = { width: 100, height: 60 };
  expect(inCrop({ x: 40, y: 20, width: 10, height: 5 }, picture, crop)).toEqual([10, 10, 30, 20]);
  expect(inCrop({ x: 0, y: 20, width: 50, height: 40 }, picture, crop)).toEqual([0, 10, 30, 60]);
});

test('a cell is of the object whose box covers its middle, or of the background', () => {
  // Middles at 2, 6, 10 and 14.
  const objects = [{ label: 7, box: [4, 4, 12, 8] as const }];
  const none = 9;
  const covered = cellLabels([objects, []], 4, 16, none).flatMap((label, cell) => (label === none ? [] : [[cell, label]]));
  expect(covered).toEqual([
    [5, 7],
    [6, 7],
  ]);
  expect(coveredBy([[0, 0, 16, 16]], 4, 16, 0.5).filter((object) => object === 0)).toHaveLength(4);
});

test('balanced accuracy gives each class the same weight', () => {
  expect(balancedAccuracy([0, 0, 0, 1], [0, 0, 0, 0])).toBe(0.75);
  expect(balancedAccuracy([0, 0, 0, 0], [0, 0, 0, 1])).toBe(0.5);
});

test('overlap is intersection over union', () => {
  expect(overlap([0, 0, 2, 2], [1, 0, 3, 2])).toBeCloseTo(1 / 3, 12);
  expect(overlap([0, 0, 2, 2], [2, 0, 4, 2])).toBe(0);
});

const objects: Labelled[][] = [[{ label: 0, box: [0, 0, 10, 10] }], [{ label: 1, box: [5, 5, 15, 15] }], [{ label: 0, box: [2, 2, 8, 8] }]];
const perfect = objects.map((all) => all.map((one) => ({ ...one, score: 0.9 })));

test('AP50 is 1 of the objects themselves, and 0 of nothing', () => {
  expect(meanAp50(perfect, objects, 3)).toBe(1);
  expect(meanAp50([[], [], []], objects, 3)).toBe(0);
});

test('AP50 counts the objects that are not found, another class, and a second box of one object', () => {
  // Half of class 0 is found: 0.5; class 1 whole.
  expect(meanAp50([perfect[0] ?? [], perfect[1] ?? [], []], objects, 2)).toBe(0.75);
  expect(meanAp50([perfect[0] ?? [], [{ label: 0, score: 0.1, box: [5, 5, 15, 15] }], perfect[2] ?? []], objects, 2)).toBe(0.5);
  // The second box comes before the other object: precision 1 at recall 0.5, 2/3 at recall 1.
  const twice = [
    [...(perfect[0] ?? []), { label: 0, score: 0.8, box: [0, 0, 10, 9] as const }],
    [],
    [{ ...objects[2]?.[0], score: 0.7 } as Detection],
  ];
  expect(meanAp50(twice, objects, 1)).toBeCloseTo(5 / 6, 12);
});

test('of boxes that overlap the best of each class is kept', () => {
  const box = [0, 0, 10, 10] as const;
  const kept = suppress([
    { label: 0, score: 0.2, box },
    { label: 0, score: 0.8, box: [0, 0, 10, 9] },
    { label: 1, score: 0.1, box },
  ]);
  expect(kept.map(({ score }) => score)).toEqual([0.8, 0.1]);
});

test('AP50 of a box that is missed is the share that is found', () => {
  // Of four objects of one class three are found, the best two before a wrong box: precision 1, 1 and 3/4, at a recall of 1/4 each.
  const image: Labelled[] = [0, 20, 40, 60].map((left) => ({ label: 0, box: [left, 0, left + 10, 10] }));
  const found = image.slice(0, 3).map(({ label, box }, at) => ({ label, box, score: 0.9 - 0.2 * at }));
  const wrong = { label: 0, score: 0.6, box: [80, 0, 90, 10] as const };
  expect(meanAp50([[...found, wrong]], [image], 1)).toBeCloseTo((1 + 1 + 3 / 4) / 4, 12);
});

test('AP50 takes detections of one score together, in whatever order they come', () => {
  const image: Labelled[] = [{ label: 0, box: [0, 0, 10, 10] }];
  const right = { label: 0, score: 0.5, box: [0, 0, 10, 10] as const };
  const wrong = { label: 0, score: 0.5, box: [50, 50, 60, 60] as const };
  expect(meanAp50([[right, wrong]], [image], 1)).toBe(0.5);
  expect(meanAp50([[wrong, right]], [image], 1)).toBe(0.5);
});

test('AP50 leaves out a class without objects, and counts no size of box more than another', () => {
  const image: Labelled[] = [
    { label: 0, box: [0, 0, 1, 1] },
    { label: 2, box: [0, 0, 1000, 1000] },
  ];
  const surplus = { label: 1, score: 0.99, box: [0, 0, 5, 5] as const };
  expect(meanAp50([[surplus, ...image.map((one) => ({ ...one, score: 0.5 }))]], [image], 3)).toBe(1);
  expect(meanAp50([[{ ...(image[0] as Labelled), score: 0.5 }]], [image], 3)).toBe(0.5);
});

test('a box finds an object from an overlap of exactly 0.5 on', () => {
  const image: Labelled[] = [{ label: 0, box: [0, 0, 10, 10] }];
  const of = (bottom: number) => meanAp50([[{ label: 0, score: 0.5, box: [0, 0, 10, bottom] }]], [image], 1);
  expect([of(5), of(4.99), of(20), of(20.01)]).toEqual([1, 0, 1, 0]);
});

const coco = wherePythonHas('pycocotools.cocoeval');

coco.test(`AP50 is that of pycocotools${coco.note}`, async () => {
  const random = new Random(7);
  const each = 20;
  const boxOf = (): Box => {
    const [left, top] = [random.between(0, 60), random.between(0, 60)];
    return [left, top, left + random.between(4, 40), top + random.between(4, 40)];
  };
  const jittered = ([left, top, right, bottom]: Box): Box => {
    const by = 0.35 * Math.min(right - left, bottom - top);
    return [
      left + random.between(-by, by),
      top + random.between(-by, by),
      right + random.between(-by, by),
      bottom + random.between(-by, by),
    ];
  };
  // Four classes of 20 objects each, some of one class in one image, and a fifth class that only detections have.
  const objects: Labelled[][] = Array.from({ length: 30 }, () => []);
  for (let label = 0; label < 4; label++)
    for (let at = 0; at < each; at++) objects[random.below(objects.length)]?.push({ label, box: boxOf() });
  const found: Detection[][] = objects.map((all) => [
    ...all.flatMap(({ label, box }) =>
      Array.from({ length: random.below(3) }, () => ({
        label: random.uniform() < 0.8 ? label : random.below(5),
        box: jittered(box),
        score: random.uniform(),
      })),
    ),
    ...Array.from({ length: random.below(3) }, () => ({ label: random.below(5), box: boxOf(), score: random.uniform() })),
  ]);
  const folder = await mkdtemp(join(tmpdir(), 'detco-ap50-'));
  try {
    const file = join(folder, 'case.json');
    await writeFile(file, JSON.stringify({ found, objects, classes: 5, steps: 10 * each }));
    const theirs = await coco.run<number>('test/bench/ap50.py', file);
    expect(theirs).toBeGreaterThan(0.2);
    expect(theirs).toBeLessThan(0.8);
    expect(meanAp50(found, objects, 5)).toBeCloseTo(theirs, 12);
  } finally {
    await rm(folder, { recursive: true });
  }
});

let engine: Engine;
beforeAll(async () => {
  engine = await selectEngine('wasm');
});
afterAll(() => engine.dispose());

const CLASSES = 4;
/** A machine that is busy elsewhere takes ten times as long. */
const PATIENT_MS = 300_000;
const SIZE = 64;

/** Maps whose cells hold the answer: the class of the box that covers the cell, and how far its sides are. Those of res4 say nothing. */
function telling(images: number, seed: number): Maps {
  const random = new Random(seed);
  const [grid, dimensions] = [4, CLASSES + 4];
  const features = new Float32Array(images * grid * grid * dimensions);
  const boxes = Array.from({ length: images }, (_, image) => {
    const [left, top] = [random.below(17), random.below(17)];
    const label = image % CLASSES;
    const box = [left, top, left + 36 + random.below(13), top + 36 + random.below(13)] as const;
    for (const [cell, object] of coveredBy([box], grid, SIZE).entries()) {
      if (object === -1) continue;
      const [x = 0, y = 0] = cellMiddles(grid, SIZE)[cell] ?? [];
      const row = (image * grid * grid + cell) * dimensions;
      features[row + label] = 1;
      features.set(
        [x - box[0], y - box[1], box[2] - x, box[3] - y].map((distance) => distance / SIZE),
        row + CLASSES,
      );
    }
    return [{ label, box }];
  });
  const nothing = { features: new Float32Array(images * 2 * 2), dimensions: 1, grid: 2 };
  return { cells: { res3: { features, dimensions, grid }, res4: nothing }, boxes };
}

/** The same with what cells hold in another order, over all images. */
function shuffled({ cells: { res3, res4 }, boxes }: Maps): Maps {
  const { features, dimensions } = res3;
  const order = [...new Random(3).permutation(features.length / dimensions)];
  const mixed = new Float32Array(features.length);
  for (const [at, row] of order.entries()) mixed.set(features.subarray(row * dimensions, (row + 1) * dimensions), at * dimensions);
  return { cells: { res3: { ...res3, features: mixed }, res4 }, boxes };
}

const cellsWithBoxes = ({ cells, boxes }: Maps) => ({ ...cells.res3, boxes });
const plan = { protocol: LINEAR_PROTOCOLS.lightly, batch: 256, epochs: 20, seed: 1 };
const probe = (train: Maps, test: Maps): Promise<number> =>
  probeCells(engine, cellsWithBoxes(train), cellsWithBoxes(test), { classes: CLASSES, size: SIZE, plan });

test(
  'the probe of cells reads an answer that cells hold',
  async () => {
    expect(await probe(telling(120, 1), telling(60, 2))).toBe(1);
  },
  PATIENT_MS,
);

test(
  'the probe of cells is at chance where cells are shuffled',
  async () => {
    const accuracy = await probe(telling(120, 1), shuffled(telling(400, 2)));
    expect(Math.abs(accuracy - 1 / (CLASSES + 1))).toBeLessThan(0.05);
  },
  PATIENT_MS,
);

const detect = (train: Maps, test: Maps): Promise<number> =>
  detectorAp50(engine, train, test, { classes: CLASSES, size: SIZE, epochs: 60, seed: 1 });

test(
  'the detector finds what cells tell',
  async () => {
    expect(await detect(telling(400, 1), telling(40, 2))).toBeGreaterThan(0.95);
  },
  PATIENT_MS,
);

test(
  'the detector finds next to nothing where cells are shuffled',
  async () => {
    expect(await detect(telling(400, 1), shuffled(telling(40, 2)))).toBeLessThan(0.05);
  },
  PATIENT_MS,
);
