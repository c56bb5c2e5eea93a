/** Numbers and places that cannot be used are told before the work, by every command in the same way. */
import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { mayMount, mountDisk, unmountDisk } from '../support/small-disk.js';
import { detco } from './detco.js';

const SHARDS = ['--shards', 'fixtures/shards/val-000.tar'];
const SMALL = ['--global-size', '16', '--patch-size', '16'];
const TINY = ['train', ...SHARDS, '--preset', 'tiny', '--engine', 'wasm', '--steps', '1'];

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-arguments-'));
  await writeFile(join(folder, 'file'), '');
  await mkdir(join(folder, 'folder'));
});

afterAll(() => rm(folder, { recursive: true }));

async function refusal(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await detco(args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  return stderr;
}

describe('a number', () => {
  test.each<[string[], string]>([
    [['train', '--batch', '2.5'], '--batch "2.5": expected a whole number, 1..1000000; give for example --batch 256'],
    [['train', '--batch', '1e3'], '--batch "1e3": expected a whole number'],
    [['train', '--batch', '0x10'], '--batch "0x10": expected a whole number'],
    [['train', '--batch', ' 8 '], '--batch " 8 ": expected a whole number'],
    [['train', '--batch', '-8'], '--batch "-8": expected a whole number'],
    [['train', '--batch', ''], '--batch "": expected a whole number'],
    [['train', '--init', ''], '--init "": expected a path; give for example --init weights/moco-v2'],
    [['train', '--epochs', '99999999999999999999'], '--epochs "99999999999999999999": expected a whole number, 1..1000000'],
    [['train', '--queue-size', '100000000000'], '--queue-size "100000000000": expected a whole number, 1..16777216'],
    [['train', '--threads', '500000'], `--threads "500000": expected a whole number, 1..${8 * availableParallelism()}`],
    [['train', '--lr', '1e308'], '--lr "1e308": expected a number above 0, at most 1e+38; give for example --lr 0.03'],
    [['train', '--lr', '0x10'], '--lr "0x10": expected a number above 0'],
    [['train', '--lr', 'NaN'], '--lr "NaN": expected a number above 0'],
    [['profile', ...SHARDS, '--seconds', '1e308'], '--seconds "1e308": expected a number above 0, at most 86400'],
    [
      ['profile', ...SHARDS, '--consume', '0.001'],
      'consume (--consume) 0.001: a batch of 64 takes 64000 s at this rate, longer than the 10 s',
    ],
    [['profile', ...SHARDS, '--consume', ' '], '--consume " ": expected a number above 0'],
    [['views', ...SHARDS, '--patch-size', '600'], '--patch-size "600": expected a whole number, 1..256'],
    [['views', ...SHARDS, ...SMALL, '--global-size', '1000000000'], '--global-size "1000000000": expected a whole number, 1..896'],
    [['synth', '--out', 'none', '--count', '1e9'], '--count "1e9": expected a whole number, 1..100000000'],
  ])('%j', async (args, message) => {
    expect(await refusal(args)).toContain(`detco: ${message}`);
  });

  test.each<[string, string]>([
    ['lr: .nan', 'lr = NaN: '],
    ['draft: yes please', 'draft = "yes please": expected true or false'],
    ['draft: true\ndecoder: sharp', 'draft: true with decoder sharp, which does not decode at 1/2 or 1/4'],
    ['decode: device', 'decode: device with augment worker, but a worker has no pixels of what it does not decode; use augment device'],
    [
      'decode: device\naugment: device\ndraft: true',
      'draft: true with decode device, which decodes whole images; leave one of the two out',
    ],
    ['cacheSize: 200G', 'cacheSize (--cache-size): "200G" without cacheDir; name the folder'],
    ['lanes: 4\nworkers: 5', 'workers: 5 workers for 4 lanes would leave some idle; use at most 4, or more lanes'],
    ['lr: .inf', 'lr = Infinity: '],
    ['lr: 1e308', 'lr = 1e+308: Too big: expected number to be <=1e+38'],
    ['batch: .nan', 'batch = NaN: '],
    ['recipe: { globalSize: 1e9 }', 'recipe.globalSize = 1000000000: Too big: expected number to be <=896'],
    ['recipe: { patchSize: 257 }', 'recipe.patchSize = 257: Too big: expected number to be <=256'],
    ['method: { queueSize: 1e11 }', 'method.queueSize (--queue-size) = 100000000000: Too big: expected number to be <=16777216'],
    ['method: { temperature: .inf }', 'method.temperature = Infinity: '],
    ['optimizer: { trust: 0.1 }', 'options.yaml is an option of lars, and not of sgd'],
    ['threads: 500000', 'threads 500000: expected a whole number, 1..'],
    ['decodedCache: ""', '"" is no amount of bytes'],
    ['batch: 1000000\nrecipe: { globalSize: 896 }\nmethod: { queueSize: 1000000 }', '3 slots of 1000000 samples take '],
    [
      'batch: 8\nmethod: { queueSize: 16777216, dim: 65536 }',
      'method.queueSize (--queue-size) 16777216: 8 queues of keys of 65536 dimensions take 35.2 TB, and there are ',
    ],
  ])('in a config file: %j', async (yaml, message) => {
    const config = join(folder, 'options.yaml');
    await writeFile(config, yaml);
    const stderr = await refusal(['train', ...SHARDS, '--preset', 'tiny', '--config', config, '--out', join(folder, 'run')]);
    expect(stderr).toContain(message);
    expect(stderr).toContain(config);
    expect(await readdir(folder)).not.toContain('run');
  });
});

describe('before an engine starts', () => {
  test.each<[string, string[]]>([
    ['nosuch-*.tar: matches no shard', ['train', '--shards', 'nosuch-*.tar', '--preset', 'tiny']],
    ['is a folder without a .tar file', ['train', '--shards', 'fixtures/odd/files', '--preset', 'tiny']],
    ['nosuch.tar: matches no shard (of ', ['train', '--shards', '{fixtures/shards/val-000,nosuch}.tar', '--preset', 'tiny']],
    ['nosuch.tar: ', ['train', ...SHARDS, '--preset', 'tiny', '--val-shards', 'nosuch.tar']],
    ['nosuch.txt" cannot be read', ['train', ...SHARDS, '--preset', 'tiny', '--classes-file', 'nosuch.txt']],
    ['decodedCache (--decoded-cache) = "200X": "200X" is no amount', ['train', ...SHARDS, '--preset', 'tiny', '--decoded-cache', '200X']],
    ['draft: true with decoder sharp', ['train', ...SHARDS, '--preset', 'tiny', '--draft', '--decoder', 'sharp']],
    [
      'package.json holds "name", which is no result of an evaluation',
      ['eval', 'rank', '--checkpoint', 'random', ...SHARDS, '--out', 'package.json'],
    ],
    ['nosuch.tar: ', ['eval', 'knn', '--checkpoint', 'random', ...SHARDS, '--val-shards', 'nosuch.tar']],
    [
      '--classes-file "nosuch.txt"',
      ['eval', 'knn', '--checkpoint', 'random', ...SHARDS, '--val-shards', ...SHARDS.slice(1), '--classes-file', 'nosuch.txt'],
    ],
  ])('%s', async (message, args) => {
    const stderr = await refusal(args[0] === 'train' ? [...args, '--out', join(folder, 'run')] : args);
    expect(stderr).toContain(message);
    expect(stderr).not.toMatch(/engine (wasm|torch|tensorflow)/);
  });
});

describe('a place for results', () => {
  const within = (option: string) => [option, 'file/within'];
  test.each<[string, string[]]>([
    ['train --out', [...TINY, ...within('--out')]],
    ['train --index', [...TINY, '--out', 'run', ...within('--index')]],
    ['train --cache-dir', [...TINY, '--out', 'run', ...within('--cache-dir')]],
    ['train --profile', [...TINY, '--out', 'run', ...within('--profile')]],
    ['profile --report', ['profile', ...SHARDS, ...within('--report')]],
    ['profile --trace', ['profile', ...SHARDS, ...within('--trace')]],
    ['profile --cache-dir', ['profile', ...SHARDS, ...within('--cache-dir')]],
    ['views --out', ['views', ...SHARDS, ...within('--out')]],
    ['shard --out', ['shard', 'fixtures/shards/val-000.tar', ...within('--out')]],
    ['index --out', ['index', ...SHARDS, ...within('--out')]],
    ['synth --out', ['synth', '--count', '1', ...within('--out')]],
    ['engine build torch --work', ['engine', 'build', 'torch', ...within('--work')]],
  ])('%s within a file', async (_name, args) => {
    const placed = args.map((arg) => (arg === 'file/within' || arg === 'run' ? join(folder, arg) : arg));
    const stderr = await refusal(placed);
    expect(stderr).toContain(
      `"${join(folder, 'file/within')}": expected a folder, and "${join(folder, 'file')}" is a file; choose another place`,
    );
    expect(stderr).not.toContain('measuring');
    expect((await readdir(folder)).filter((name) => name === 'run')).toEqual([]);
  });

  test.each([
    ['train', '--profile', TINY],
    ['profile', '--report', ['profile', ...SHARDS]],
    ['profile', '--trace', ['profile', ...SHARDS]],
    ['views', '--out', ['views', ...SHARDS]],
  ])('%s %s that is a folder, or nothing', async (_command, option, args) => {
    const at = join(folder, 'folder');
    expect(await refusal([...args, option, at])).toContain(`${option} "${at}": expected a file, and this is a folder; add a name`);
    expect(await refusal([...args, option, ''])).toContain(`${option} "": expected `);
  });

  test.each([
    ['a new run', TINY, '--out'],
    ['a run that is resumed', ['train'], '--resume'],
  ])('of a profile is not that of a file of %s', async (_what, args, option) => {
    const run = join(folder, 'profiled');
    if (option === '--resume') await cp('fixtures/runs/detco-0.1', run, { recursive: true, verbatimSymlinks: true });
    const before = await readdir(run).catch(() => undefined);
    const page = join(run, 'bad-samples.jsonl');
    expect(await refusal([...args, option, run, '--profile', page])).toContain(`--profile "${page}": expected a name that ends in .html`);
    expect(await readdir(run).catch(() => undefined)).toEqual(before);
  });

  test.each([
    ['--out', '.png', ['views', ...SHARDS]],
    ['--confusion', '.png', ['eval', 'knn', '--checkpoint', 'random', ...SHARDS, '--val-shards', ...SHARDS.slice(1)]],
    ['--neighbours', '.png', ['eval', 'knn', '--checkpoint', 'random', ...SHARDS, '--val-shards', ...SHARDS.slice(1)]],
    ['--report', '.html', ['profile', ...SHARDS]],
  ])('of %s has a name that ends in %s', async (option, ending, args) => {
    const at = join(folder, 'made-into.jpg');
    expect(await refusal([...args, option, at])).toContain(`${option} "${at}": expected a name that ends in ${ending}`);
    expect(await readdir(folder)).not.toContain('made-into.jpg');
  });

  test('is of one result alone', async () => {
    const at = join(folder, 'both.html');
    expect(await refusal(['profile', ...SHARDS, '--report', at, '--trace', at])).toContain(
      `--trace "${at}": this is the file of --report, too; give each its own`,
    );
    expect(await readdir(folder)).not.toContain('both.html');
  });

  test('is made when it is not there', async () => {
    const [report, trace] = [join(folder, 'made/report.html'), join(folder, 'made/by/trace.json')];
    const measured = await detco([
      'profile',
      ...SHARDS,
      ...SMALL,
      '--batch',
      '4',
      '--workers',
      '1',
      '--seconds',
      '0.1',
      '--report',
      report,
      '--trace',
      trace,
    ]);
    expect(measured).toMatchObject({ code: 0 });
    expect(await readFile(report, 'utf8')).toContain('</html>');
    expect(JSON.parse(await readFile(trace, 'utf8'))).toHaveProperty('traceEvents');
  });
});

(mayMount() ? describe : describe.skip)('on a disk that runs full', () => {
  let disk: string;
  beforeAll(async () => {
    disk = await mkdtemp(join(tmpdir(), 'detco-full-'));
    mountDisk(disk, '16k');
  });
  afterAll(async () => {
    unmountDisk(disk);
    await rm(disk, { recursive: true });
  });

  test.each<[string, string[], string]>([
    ['synth', ['synth', '--count', '40', '--out'], 'shards'],
    ['views', ['views', ...SHARDS, ...SMALL, '--n', '16', '--out'], 'views.png'],
    ['profile', ['profile', ...SHARDS, ...SMALL, '--batch', '4', '--workers', '1', '--seconds', '0.1', '--trace'], 'trace.json'],
  ])('%s says so and leaves no part of a file', async (_command, args, name) => {
    const path = join(disk, name);
    const { code, stderr } = await detco([...args, path]);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining(`"${path}" could not be written: the disk of "${path}" is full; free some space`),
    });
    expect(await readdir(path).catch(() => [])).toEqual([]);
  });
});
