/** The engines against the tests that TensorFlow.js ships, through scripts/conformance.mjs: a process of its own for each engine. */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from '@jest/globals';
import { whereAvailable } from './available.js';

interface Result {
  readonly ok: boolean;
  readonly engine: string;
  readonly passed: number;
  readonly excluded: number;
  readonly notApplicable: Readonly<Record<string, number>>;
  readonly unreached: readonly string[];
  readonly stale: readonly string[];
  readonly failures: readonly { readonly name: string; readonly error: string }[];
}

function conformance(...args: string[]) {
  return spawnSync(process.execPath, ['scripts/conformance.mjs', ...args], { encoding: 'utf8', maxBuffer: 64 << 20 });
}

/** Passed tests at least, so that a harness that finds no tests, or an engine that lost its kernels, does not pass for conforming. */
const PASSED = { wasm: 700, torch: 3050, tensorflow: 3590 } as const;
/** Kernels that only this project knows are no subject of TensorFlow.js's tests. */
const OURS = {
  wasm: ['GroupedBatchNorm', 'GroupedBatchNormGrad'],
  torch: ['GroupedBatchNorm', 'GroupedBatchNormGrad', 'InfoNce', 'SimilarityProduct'],
  tensorflow: ['GroupedBatchNorm', 'GroupedBatchNormGrad'],
} as const;

const engines = await Promise.all(
  (['wasm', 'torch', 'tensorflow'] as const).map(async (name) => ({ name, on: await whereAvailable(name) })),
);

describe("TensorFlow.js's own tests", () => {
  for (const { name, on } of engines) {
    on.test(
      `pass on engine ${name}${on.note}`,
      () => {
        const { status, stdout, stderr } = conformance('--engine', name, '--json');
        // A crash leaves no result.
        expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
        const result = JSON.parse(stdout) as Result;
        expect(result).toMatchObject({ ok: true, engine: name, failures: [], stale: [] });
        expect(result.passed).toBeGreaterThanOrEqual(PASSED[name]);
        expect(result.excluded).toBeLessThanOrEqual(result.passed / 20);
        expect(result.unreached).toEqual(OURS[name]);
      },
      600_000,
    );
  }

  test('fail, by name, where an engine falls short', () => {
    const { status, stdout, stderr } = conformance('--engine', 'wasm', '--filter', '^conv2d x=.*NCHW$', '--exclude', '^$', '--json');
    const { ok, failures } = JSON.parse(stdout) as Result;
    expect({ ok, status }).toEqual({ ok: false, status: 1 });
    expect(failures.length).toBeGreaterThan(0);
    for (const { error } of failures) expect(error).toContain('dataFormat "NCHW" is not supported');
    expect(stderr).toMatch(/^FAIL conv2d x=/m);
  });

  test('make an exclusion that excludes a test which passes an error', () => {
    const { status, stdout } = conformance('--engine', 'wasm', '--filter', '^exp int32$', '--exclude', 'exp', '--json');
    const { ok, stale } = JSON.parse(stdout) as Result;
    expect({ ok, status, stale }).toEqual({ ok: false, status: 1, stale: ['/exp/ excludes "exp int32", which passes'] });
  });

  test.each([
    [[], 'expected --engine NAME or --pack FILE'],
    [['--engine', 'abacus'], 'unknown engine "abacus": expected torch, tensorflow, wasm'],
    [['--engine', 'wasm', '--filter', '('], 'Unterminated group'],
  ])('%j is unusable: exit 2', (args, message) => {
    const { status, stdout, stderr } = conformance(...args);
    expect(stderr).toContain(message);
    expect(stderr).toContain('usage: ');
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  });
});
