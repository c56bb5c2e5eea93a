/**
 * Every operation against what PIL and torchvision make of one small image (fixtures/golden/augment.json).
 * Limits on the absolute difference over bytes, stated with the golden numbers: point and colour operations mean 1 and
 * maximum 4; resampling, blur and affine operations mean 2 and maximum 24 (edges).
 */
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { applyStep } from '#dist/pipeline/augment/execute.js';
import { Kernels } from '#dist/pipeline/augment/kernels.js';
import type { Step } from '#dist/pipeline/augment/parameters.js';

interface Case {
  readonly op: string;
  readonly args: Readonly<Record<string, number>>;
  readonly width: number;
  readonly height: number;
  readonly rgb: string;
}

interface Golden {
  readonly width: number;
  readonly height: number;
  readonly input: string;
  readonly cases: readonly Case[];
}

const golden = JSON.parse(readFileSync(new URL('../../../fixtures/golden/augment.json', import.meta.url), 'utf8')) as Golden;
const input = Buffer.from(golden.input, 'base64');

const RESAMPLING = new Set([
  'blur',
  'cropResize',
  'randaugment.rotate',
  'randaugment.shearX',
  'randaugment.shearY',
  'randaugment.translateX',
  'randaugment.translateY',
]);
const RENAMED: Readonly<Record<string, string>> = {
  blur: 'gaussianBlur',
  flip: 'horizontalFlip',
  color: 'saturation',
};

let kernels: Kernels;
beforeAll(async () => {
  kernels = await Kernels.load(64);
});

function run({ op, args, width, height }: Case): Uint8Array {
  const out = new Uint8Array(width * height * 3);
  if (op === 'cropResize') {
    const { left = 0, top = 0, width: w = 0, height: h = 0, size = 0 } = args;
    const source = kernels.load(golden.width, golden.height, input);
    kernels.crop(
      source,
      {
        window: { left, top, width: w, height: h },
        left,
        top,
        scaleX: w / size,
        scaleY: h / size,
        size,
      },
      false,
    );
  } else {
    const name = op.replace(/^(jitter|randaugment)\./, '');
    kernels.setImage(golden.width, golden.height, input);
    applyStep(kernels, { op: RENAMED[name] ?? name, ...args } as unknown as Step);
  }
  kernels.read(out);
  return out;
}

function difference(got: Uint8Array, wanted: Uint8Array): { mean: number; max: number } {
  let sum = 0;
  let max = 0;
  got.forEach((value, i) => {
    const distance = Math.abs(value - (wanted[i] ?? Number.NaN));
    sum += distance;
    max = Math.max(max, distance);
  });
  return { mean: sum / got.length, max };
}

describe('kernels give what PIL and torchvision give', () => {
  test('the fixture holds all 51 cases', () => expect(golden.cases).toHaveLength(51));

  test.each(golden.cases.map((one) => [`${one.op} ${JSON.stringify(one.args)}`, one] as const))('%s', (_, one) => {
    const wanted = Buffer.from(one.rgb, 'base64');
    const got = run(one);
    expect(got).toHaveLength(wanted.length);
    const { mean, max } = difference(got, wanted);
    const [meanLimit, maxLimit] = RESAMPLING.has(one.op) ? [2, 24] : [1, 4];
    expect(mean).toBeLessThanOrEqual(meanLimit);
    expect(max).toBeLessThanOrEqual(maxLimit);
  });
});
