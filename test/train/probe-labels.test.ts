import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { memory } from '@tensorflow/tfjs-core';
import { type Engine, selectEngine } from '#dist/engine/index.js';
import { OnlineProbe } from '#dist/eval/index.js';
import { ProbeLabels } from '#dist/train/probe-labels.js';

let engine: Engine;
beforeAll(async () => {
  engine = await selectEngine('wasm');
});
afterAll(() => engine.dispose());

const batch = (...labels: readonly (number | undefined)[]) => ({
  samples: labels.map((label, row) => Object.assign({ shard: 'a.tar', index: row, key: `k${row}` }, label !== undefined && { label })),
});

/** What a probe takes of batches, and what is told of them. */
function judge(begun: boolean, ...batches: readonly ReturnType<typeof batch>[]) {
  const warnings: string[] = [];
  using probe = new OnlineProbe(engine, 1);
  if (begun) probe.reserve(2);
  const labels = new ProbeLabels(probe, { room: Infinity, warn: (message) => warnings.push(message) });
  return { taken: batches.map((one) => labels.of(one)), warnings };
}

const stray = (label: number, key: string) =>
  expect.stringContaining(`the label ${label} of "${key}" in "a.tar" counts as none: expected classes from 0 to 32767`);
const nothing = (images: number) => expect.stringContaining(`none of the ${images} images of the first batch has a label to learn from`);

describe('labels for the linear probe', () => {
  test('are those that it has room for', () => {
    expect(judge(false, batch(0, 32_767, undefined, 32_768, -7), batch(-2, 5))).toEqual({
      taken: [
        [0, 32_767, undefined, undefined, undefined],
        [undefined, 5],
      ],
      warnings: [stray(32_768, 'k3')],
    });
  });

  test('may be absent from a first batch, which is told, and from later ones, which is not', () => {
    expect(judge(false, batch(undefined, undefined), batch(undefined, undefined))).toEqual({
      taken: [
        [undefined, undefined],
        [undefined, undefined],
      ],
      warnings: [nothing(2)],
    });
    expect(judge(false, batch(1), batch(undefined)).warnings).toEqual([]);
    expect(judge(true, batch(undefined)).warnings).toEqual([]);
  });

  test('that no probe has room for are refused at the first batch alone, and not where images have none', () => {
    expect(() => judge(false, batch(40_000, 50_000))).toThrow(
      /^evaluate \(--eval\) linear: .* the label 40000 of "k0" in "a\.tar" is the first/,
    );
    expect(judge(false, batch(40_000, undefined)).warnings).toEqual([nothing(2), stray(40_000, 'k0')]);
    expect(judge(false, batch(1), batch(40_000)).warnings).toEqual([stray(40_000, 'k0')]);
    expect(judge(true, batch(40_000)).warnings).toEqual([stray(40_000, 'k0')]);
  });

  test('whose classes take more memory than there is are refused before any is taken, naming the sample', () => {
    using probe = new OnlineProbe(engine, 64);
    const labels = new ProbeLabels(probe, { room: probe.bytesFor(1000), warn: () => {} });
    labels.of(batch(3, 999));
    const before = memory();
    expect(() => labels.of(batch(5, 32_767, 7))).toThrow(
      /^evaluate \(--eval\) linear: the label 32767 of "k1" in "a\.tar" makes it a probe of 32768 classes, which takes 25\.6 MB .*there are 799 kB for it/,
    );
    expect(memory()).toMatchObject({ numTensors: before.numTensors, numBytes: before.numBytes });
    expect(probe.state.get('bias')?.shape).toEqual([1024]);
  });

  test('have their columns before the update that learns from them', () => {
    using probe = new OnlineProbe(engine, 4);
    new ProbeLabels(probe, { room: Infinity, warn: () => {} }).of(batch(undefined, 5, 32_768));
    expect(probe.state.get('bias')?.shape).toEqual([8]);
  });
});
