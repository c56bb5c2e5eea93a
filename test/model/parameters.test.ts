import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { fromTorchLayout, linear, startingValues, toTorchLayout } from '#dist/model/network/parameters.js';
import { resNet } from '#dist/model/network/architecture.js';
import { size } from '#dist/model/network/parameters.js';

describe('resNet', () => {
  // torchvision's parameter counts less those of fc, which has 1000 (C + 1)
  test.each([
    ['resnet18', 11_689_512 - 513_000],
    ['resnet34', 21_797_672 - 513_000],
    ['resnet50', 25_557_032 - 2_049_000],
    ['resnet101', 44_549_160 - 2_049_000],
  ] as const)("%s has torchvision's number of parameters", (arch, count) => {
    const { parameters } = resNet({ arch, width: 64, stem: 'imagenet' });
    expect(parameters.reduce((sum, { shape }) => sum + size(shape), 0)).toBe(count);
  });

  test("names and shapes are torchvision's, in its order", () => {
    const { parameters, buffers, channels } = resNet({ arch: 'resnet50', width: 64, stem: 'imagenet' });
    const shapes = new Map(parameters.map(({ name, shape }) => [name, toTorchLayout({ values: new Float32Array(0), shape }).shape]));
    expect([...shapes.keys()].slice(0, 6)).toEqual([
      'conv1.weight',
      'bn1.weight',
      'bn1.bias',
      'layer1.0.conv1.weight',
      'layer1.0.bn1.weight',
      'layer1.0.bn1.bias',
    ]);
    expect([...shapes.keys()].at(-1)).toBe('layer4.2.bn3.bias');
    expect(shapes.get('conv1.weight')).toEqual([64, 3, 7, 7]);
    expect(shapes.get('layer1.0.downsample.0.weight')).toEqual([256, 64, 1, 1]);
    expect(shapes.get('layer3.0.conv2.weight')).toEqual([256, 256, 3, 3]);
    expect(shapes.get('layer4.0.downsample.1.weight')).toEqual([2048]);
    expect(buffers).toHaveLength(2 * 53);
    expect(channels).toEqual({ res2: 256, res3: 512, res4: 1024, res5: 2048 });
  });
});

describe('layouts', () => {
  test('a convolution [h, w, in, out] becomes [out, in, h, w]', () => {
    // one row, two columns, one input, three outputs: value = 10 column + output
    const { values, shape } = toTorchLayout({ values: Float32Array.of(0, 1, 2, 10, 11, 12), shape: [1, 2, 1, 3] });
    expect(shape).toEqual([3, 1, 1, 2]);
    expect([...values]).toEqual([0, 10, 1, 11, 2, 12]);
  });

  test('a linear weight is transposed, a vector left alone', () => {
    expect(toTorchLayout({ values: Float32Array.of(1, 2, 3, 4, 5, 6), shape: [2, 3] })).toEqual({
      values: Float32Array.of(1, 4, 2, 5, 3, 6),
      shape: [3, 2],
    });
    const vector = { values: Float32Array.of(1, 2), shape: [2] };
    expect(toTorchLayout(vector)).toEqual(vector);
  });

  test('there and back is the identity', () => {
    const extent = fc.integer({ min: 1, max: 5 });
    const shapes = fc.oneof(fc.tuple(extent), fc.tuple(extent, extent), fc.tuple(extent, extent, extent, extent));
    fc.assert(
      fc.property(shapes, (shape) => {
        const values = Float32Array.from({ length: size(shape) }, (_, i) => i);
        expect(fromTorchLayout(toTorchLayout({ values, shape }))).toEqual({ values, shape });
        expect(toTorchLayout(fromTorchLayout({ values, shape }))).toEqual({ values, shape });
      }),
    );
  });
});

describe('startingValues', () => {
  const conv = resNet({ arch: 'resnet18', width: 64, stem: 'imagenet' }).parameters.find(({ name }) => name === 'layer1.0.conv1.weight');
  if (!conv) throw new Error('resnet18 has no layer1.0.conv1');

  test('convolutions are Kaiming normal over fan_out', () => {
    const values = startingValues(conv, 1);
    const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
    const deviation = Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length);
    expect(mean).toBeCloseTo(0, 3);
    expect(deviation / Math.sqrt(2 / (9 * 64))).toBeCloseTo(1, 1);
  });

  test('linear layers are normal with deviation sqrt(2 / fan_in), biases 0', () => {
    const [weight, bias] = linear('fc', 200, 100).map((spec) => startingValues(spec, 1));
    const squares = weight?.reduce((sum, x) => sum + x * x, 0) ?? NaN;
    expect(squares / (200 * 100) / (2 / 200)).toBeCloseTo(1, 1);
    expect(bias).toEqual(new Float32Array(100));
  });

  test('are a function of seed and name', () => {
    expect(startingValues(conv, 1)).toEqual(startingValues(conv, 1));
    expect(startingValues(conv, 1)).not.toEqual(startingValues(conv, 2));
    expect(startingValues(conv, 1)).not.toEqual(startingValues({ ...conv, name: 'layer1.0.conv2.weight' }, 1));
  });
});
