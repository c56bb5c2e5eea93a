/**
 * The method against numbers of an independent PyTorch implementation on torchvision's own ResNet, through
 * `npm run golden`. A process of its own: Jest's module sandbox slows loops over 10^7 weights beyond use.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { METHOD_NAMES } from '#dist/model/methods/index.js';
import { whereAvailable } from '../engine/available.js';
import { whereRanks } from '../ranks/available.js';
import { freePort, runNode } from '../ranks/run-ranks.js';

const RESNET18 = 'fixtures/golden/resnet18.json';
const folder = mkdtempSync(join(tmpdir(), 'golden-'));
afterAll(() => rmSync(folder, { recursive: true }));

function golden(...args: string[]) {
  return spawnSync(process.execPath, ['scripts/golden.mjs', ...args], { encoding: 'utf8' });
}

interface Result {
  readonly file: string;
  readonly ok: boolean;
  readonly engine: string;
  readonly precision: string;
  readonly groups: Readonly<Record<string, number>>;
  readonly tolerances: Readonly<Record<string, number>>;
}

const GROUPS = [
  'evalFeatures',
  'gradNorm',
  'keyParamMoved',
  'keyProbe',
  'loss',
  'paramMoved',
  'runningMeanNorm',
  'runningVarNorm',
  'terms',
];

function expectWithin(groups: Result['groups'], tolerances: Result['tolerances']): void {
  expect(Object.keys(groups).toSorted()).toEqual(GROUPS);
  // JSON has no infinity.
  for (const [group, error] of Object.entries(groups)) expect(error).toBeLessThanOrEqual(tolerances[group] ?? Infinity);
}

const ranked = await whereRanks();
const where = { torch: await whereAvailable('torch'), tensorflow: await whereAvailable('tensorflow') } as const;

describe('npm run golden', () => {
  test.each([
    ['basic units, two batch norm groups, three steps with SGD, key encoder and queue between them', RESNET18],
    ['bottlenecks, one group, its own hidden width, temperature and seed', 'fixtures/golden/resnet50-narrow-heads.json'],
  ])(
    '%s: agrees with PyTorch',
    (_, file) => {
      const { status, stdout, stderr } = golden(file, '--engine', 'wasm', '--json');
      const { ok, engine, groups, tolerances } = JSON.parse(stdout) as Result;
      expect(tolerances['loss']).toBe(2e-4);
      expectWithin(groups, tolerances);
      expect({ ok, engine, status }).toEqual({ ok: true, engine: 'wasm', status: 0 });
      expect(stderr).toContain('within tolerance');
    },
    300_000,
  );

  // MoCo's loss is one of DetCo's terms, and DetCo's files are those of the networks.
  const others = METHOD_NAMES.filter((method) => method !== 'detco' && method !== 'moco');
  const files = [...others, 'insloc-fpn', 'pirl-nce'].map((name) => `fixtures/golden/${name}.json`);
  const agreeOn = (engine: string): void => {
    let results: readonly Result[] = [];
    // In one process: most of a replay is the start of an engine.
    beforeAll(() => {
      const { stdout, stderr } = golden(...files, '--engine', engine, '--device', 'cpu', '--json');
      if (stdout === '') throw new Error(stderr);
      results = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Result);
    }, 900_000);
    test.each(files)('%s agrees with PyTorch', (file) => {
      const { ok, engine: used, groups = {}, tolerances = {} } = results.find((result) => result.file === file) ?? {};
      expect({ ok, used, groups }).toEqual({ ok: true, used: engine, groups });
      for (const group of ['loss', 'gradNorm', 'paramMoved', 'runningMeanNorm', 'evalFeatures'])
        expect(groups[group]).toBeLessThanOrEqual(tolerances[group] ?? NaN);
    });
  };
  describe('on wasm', () => agreeOn('wasm'));
  for (const engine of ['torch', 'tensorflow'] as const) where[engine].describe(`on ${engine}${where[engine].note}`, () => agreeOn(engine));

  for (const [name, precision] of [
    ['torch', 'fp32'],
    ['torch', 'bf16'],
    ['tensorflow', 'fp32'],
  ] as const) {
    where[name].test(
      `basic units on the engine ${name} in ${precision}: agrees with PyTorch${where[name].note}`,
      () => {
        const { status, stdout, stderr } = golden(RESNET18, '--engine', name, '--precision', precision, '--device', 'cpu', '--json');
        expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
        const result = JSON.parse(stdout) as Result;
        expect(result).toMatchObject({ ok: true, engine: name, precision });
        expectWithin(result.groups, result.tolerances);
        expect(result.groups['terms']).toBeLessThanOrEqual(2e-2);
      },
      300_000,
    );
  }

  ranked.test(
    `basic units over two ranks, each with half of the batch: agrees with PyTorch${ranked.note}`,
    async () => {
      const args = ['scripts/golden.mjs', RESNET18, '--engine', 'torch', '--device', 'cpu', '--json'];
      const variables = { WORLD_SIZE: '2', MASTER_ADDR: '127.0.0.1', MASTER_PORT: String(await freePort()) };
      const ended = await Promise.all([0, 1].map((rank) => runNode(args, { ...process.env, ...variables, RANK: String(rank) })));
      for (const { code, stdout, stderr } of ended) {
        expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
        const { groups, tolerances } = JSON.parse(stdout) as Result;
        expectWithin(groups, tolerances);
      }
    },
    300_000,
  );

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
    expect(groups['terms']).toBeLessThanOrEqual(2e-4);
    expect(stderr).toMatch(/^loss .*EXCEEDED$/m);
  }, 120_000);

  test.each([
    [['no/such/file.json'], 'cannot read the golden file "no/such/file.json"'],
    [['package.json'], '"package.json": Not a golden file: at "config"'],
    [[RESNET18, '--engine', 'abacus'], 'unknown engine "abacus": expected auto, wasm, tensorflow, torch'],
    [[RESNET18, '--engine', 'wasm', '--precision', 'bf16'], 'precision "bf16": engine wasm computes in fp32 alone'],
    [[RESNET18, '--engine', 'wasm', '--device', 'gpu'], 'unknown device "gpu": expected auto, cpu, cuda'],
    [[], 'expected golden files, got none'],
  ])('%j is unusable: exit 2', (args, message) => {
    const { status, stdout, stderr } = golden(...args);
    expect(stderr).toContain(message);
    expect(stderr).toContain('usage: npm run golden');
    expect(stdout).toBe('');
    expect(status).toBe(2);
  });
});

test('a golden file that is not as expected: where', () => {
  const refusal = (text: string) => {
    const file = join(folder, 'refused.json');
    writeFileSync(file, text);
    return golden(file).stderr;
  };
  expect(refusal('{"config":{}')).toMatch(/Not a golden file: .*JSON/);
  expect(refusal('{"steps":[]}')).toContain('Not a golden file: at "config"');
  const { config, ...rest } = JSON.parse(readFileSync(RESNET18, 'utf8')) as { config: object };
  expect(refusal(JSON.stringify({ ...rest, config: { ...config, arch: 'vgg16' } }))).toContain('arch = "vgg16"');
  expect(refusal(JSON.stringify({ method: 'moko' }))).toContain('at "method"');
});
