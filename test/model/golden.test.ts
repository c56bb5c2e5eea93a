/**
 * The method against numbers of an independent PyTorch implementation on torchvision's own ResNet, through
 * `npm run golden`. A process of its own: Jest's module sandbox slows loops over 10^7 weights beyond use.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { parseGolden, TOLERANCES, TOLERANCES_BF16 } from '#dist/model/golden.js';
import { whereAvailable } from '../engine/available.js';

const RESNET18 = 'fixtures/golden/resnet18.json';
const folder = mkdtempSync(join(tmpdir(), 'golden-'));
afterAll(() => rmSync(folder, { recursive: true }));

function golden(...args: string[]) {
  return spawnSync(process.execPath, ['scripts/golden.mjs', ...args], { encoding: 'utf8' });
}

interface Result {
  readonly ok: boolean;
  readonly engine: string;
  readonly precision: string;
  readonly groups: Readonly<Record<string, number>>;
}

const where = { torch: await whereAvailable('torch'), tensorflow: await whereAvailable('tensorflow') } as const;

describe('npm run golden', () => {
  test.each([
    ['basic units, two batch norm groups, three steps with SGD, key encoder and queue between them', RESNET18],
    ['bottlenecks, one group, its own hidden width, temperature and seed', 'fixtures/golden/resnet50-narrow-heads.json'],
  ])(
    '%s: agrees with PyTorch',
    (_, file) => {
      const { status, stdout, stderr } = golden(file, '--engine', 'wasm', '--json');
      const { ok, engine, groups } = JSON.parse(stdout) as Result;
      expect(Object.keys(groups).toSorted()).toEqual(Object.keys(TOLERANCES).toSorted());
      for (const [group, tolerance] of Object.entries(TOLERANCES)) expect(groups[group]).toBeLessThanOrEqual(tolerance);
      expect({ ok, engine, status }).toEqual({ ok: true, engine: 'wasm', status: 0 });
      expect(stderr).toContain('within tolerance');
    },
    300_000,
  );

  for (const [name, precision, tolerances] of [
    ['torch', 'fp32', TOLERANCES],
    ['torch', 'bf16', TOLERANCES_BF16],
    ['tensorflow', 'fp32', TOLERANCES],
  ] as const) {
    where[name].test(
      `basic units on the engine ${name} in ${precision}: agrees with PyTorch${where[name].note}`,
      () => {
        const { status, stdout, stderr } = golden(RESNET18, '--engine', name, '--precision', precision, '--device', 'cpu', '--json');
        expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
        const result = JSON.parse(stdout) as Result;
        expect(result).toMatchObject({ ok: true, engine: name, precision });
        expect(Object.keys(result.groups).toSorted()).toEqual(Object.keys(TOLERANCES).toSorted());
        for (const [group, tolerance] of Object.entries(tolerances)) expect(result.groups[group]).toBeLessThanOrEqual(tolerance);
        expect(result.groups['terms']).toBeLessThanOrEqual(2e-2);
      },
      300_000,
    );
  }

  test('numbers out of tolerance: exit 1, and which', () => {
    const file = join(folder, 'wrong.json');
    const wrong = JSON.parse(readFileSync(RESNET18, 'utf8')) as { steps: { loss: number; terms: Record<string, number> }[] };
    wrong.steps.length = 1;
    for (const step of wrong.steps) step.loss *= 2;
    writeFileSync(file, JSON.stringify(wrong));
    const { status, stdout, stderr } = golden(file, '--engine', 'wasm', '--json');
    const { ok, groups } = JSON.parse(stdout) as Result;
    expect({ ok, status }).toEqual({ ok: false, status: 1 });
    // |x - 2x| / (2x + .02 2x)
    expect(groups['loss']).toBeCloseTo(0.5 / 1.02, 3);
    expect(groups['terms']).toBeLessThanOrEqual(TOLERANCES.terms);
    expect(stderr).toMatch(/^loss .*EXCEEDED$/m);
  }, 120_000);

  test.each([
    [['no/such/file.json'], 'cannot read the golden file "no/such/file.json"'],
    [['package.json'], '"package.json": Not a golden file: at "config"'],
    [[RESNET18, '--engine', 'abacus'], 'unknown engine "abacus": expected auto, wasm, tensorflow, torch'],
    [[RESNET18, '--engine', 'wasm', '--precision', 'bf16'], 'precision "bf16": engine wasm computes in fp32 alone'],
    [[RESNET18, '--engine', 'wasm', '--device', 'gpu'], 'unknown device "gpu": expected auto, cpu, cuda'],
    [[], 'expected one golden file, got 0'],
  ])('%j is unusable: exit 2', (args, message) => {
    const { status, stdout, stderr } = golden(...args);
    expect(stderr).toContain(message);
    expect(stderr).toContain('usage: npm run golden');
    expect(stdout).toBe('');
    expect(status).toBe(2);
  });
});

describe('parseGolden', () => {
  test('says what is not as expected', () => {
    expect(() => parseGolden('{"config":{}')).toThrow(/Not a golden file: .*JSON/);
    expect(() => parseGolden('{"steps":[]}')).toThrow('Not a golden file: at "config"');
    const { config, ...rest } = JSON.parse(readFileSync(RESNET18, 'utf8')) as { config: object };
    expect(() => parseGolden(JSON.stringify({ ...rest, config: { ...config, arch: 'vgg16' } }))).toThrow('at "config.arch"');
  });
});
