/** With --json a command prints one object on stdout, and nothing else there. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { detco, type Outcome } from './detco.js';

const folder = await mkdtemp(join(tmpdir(), 'detco-json-'));
const at = (name: string): string => join(folder, name);
const SHARDS = ['--shards', at('data/train-000.tar')];
const RANDOM = ['--checkpoint', 'random', '--preset', 'tiny', '--global-size', '16', '--engine', 'wasm', '--workers', '1', ...SHARDS];
const JUDGED = [...RANDOM, '--val-shards', at('data/train-000.tar'), '--out', at('eval.json')];
const TRAIN = ['--preset', 'tiny', '--engine', 'wasm', '--batch', '4', '--workers', '1', '--steps', '1', '--out', at('run')];

/** Arguments of each command, and what its object holds. In their order: what one makes others read. */
const COMMANDS: Readonly<Record<string, readonly [readonly string[], object]>> = {
  synth: [['--out', at('data'), '--count', '40', '--size', '32x32'], { images: 40 }],
  shard: [['fixtures/odd/files', '--out', at('shards')], { bad: 3 }],
  index: [[...SHARDS, '--out', at('index')], { samples: 40 }],
  verify: [SHARDS, { samples: 40, problems: [] }],
  views: [[...SHARDS, '--out', at('views.png')], { out: at('views.png') }],
  profile: [[...SHARDS, '--seconds', '0.1', '--batch', '4', '--workers', '1', '--global-size', '16', '--patch-size', '16'], {}],
  train: [[...SHARDS, ...TRAIN], { step: 1, finished: true }],
  export: [['--checkpoint', at('run'), '--out', at('run.pth')], { path: at('run.pth') }],
  import: [[at('run.pth'), '--out', at('imported')], { out: at('imported') }],
  'eval knn': [[...JUDGED, '--k', '3'], { evaluation: 'knn' }],
  'eval linear': [[...JUDGED, '--cached', '--epochs', '1'], { evaluation: 'linear' }],
  'eval svm': [[...JUDGED, '--costs', '1'], { evaluation: 'svm' }],
  'eval rank': [[...RANDOM, '--out', at('eval.json')], { evaluation: 'rank' }],
  watch: [[at('run'), '--port', '0'], { url: expect.stringMatching(/^http:/) }],
  doctor: [[], { node: process.versions.node }],
};
/** Its output is a script. */
const WITHOUT = ['completion'];
/** They compile for minutes; where CI builds engines it reads their object. */
const BUILDS = ['engine build torch', 'engine build tensorflow'];

let commands: ReadonlyMap<string, string>;
beforeAll(async () => {
  const { stdout } = await detco(['completion', 'bash']);
  // Options of each command, by its name; those that have commands within them have no --quiet.
  const found = [...stdout.matchAll(/^ +' ([\w ]+)'\) words=.* options='(.*)' ;;$/gm)].map(
    ([, name = '', options = '']) => [name, options] as const,
  );
  commands = new Map(found.filter(([, options]) => options.includes('--quiet')));
});
afterAll(() => rm(folder, { recursive: true }));

function only(outcome: Outcome): unknown {
  expect(outcome.stdout).toMatch(/^\{.*\}\n$/);
  return JSON.parse(outcome.stdout);
}

test('every command has --json, but those that print what is read as it is', () => {
  expect([...commands.keys()].filter((name) => !commands.get(name)?.includes('--json'))).toEqual(WITHOUT);
  expect([...commands.keys()].toSorted()).toEqual([...Object.keys(COMMANDS), ...BUILDS, ...WITHOUT].toSorted());
});

describe('one object on stdout', () => {
  test.each(Object.keys(COMMANDS))('%s', async (name) => {
    const [args, holds] = COMMANDS[name] ?? [[], {}];
    const onLine = (line: string) => (name === 'watch' && line.startsWith('Open this address') ? 'SIGINT' : undefined);
    const outcome = await detco([...name.split(' '), ...args, '--json'], { onLine });
    expect({ code: outcome.code, stderr: outcome.stderr }).toMatchObject({ code: name === 'watch' ? 130 : 0 });
    expect(only(outcome)).toMatchObject(holds);
  });
});

test('a command that fails prints nothing on stdout', async () => {
  for (const args of [
    ['verify', '--shards', at('none.tar')],
    ['engine', 'build', 'torch', '--libtorch', at('none')],
    ['export', '--checkpoint', at('none'), '--out', at('none.pth')],
  ]) {
    const { code, stdout, stderr } = await detco([...args, '--json']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^detco: /m);
  }
});

test('problems that a command is to find are its result', async () => {
  const outcome = await detco(['verify', ...SHARDS, '--classes', '1', '--json']);
  expect(outcome.code).toBe(1);
  expect(only(outcome)).toMatchObject({
    samples: 40,
    problems: expect.arrayContaining([expect.objectContaining({ shard: expect.any(String) })]),
  });
});
