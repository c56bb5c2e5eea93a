import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { writeColouredShard } from '../support/coloured-shards.js';
import { loadCheckpoint } from '#dist/train/checkpoint.js';
import { mayMount, mountDisk, unmountDisk } from '../support/small-disk.js';
import { detco, type Outcome } from './detco.js';

let folder: string;
let train: string;
let val: string;
/** A run of detco, whose weights are a checkpoint's. */
let run: string;
let out: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'detco-eval-'));
  train = await writeColouredShard(join(folder, 'train.tar'), 96);
  val = await writeColouredShard(join(folder, 'validation.tar'), 80);
  run = join(folder, 'run');
  cpSync('fixtures/runs/detco-0.1', run, { recursive: true, verbatimSymlinks: true });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(() => {
  out = join(folder, 'results.json');
  rmSync(out, { force: true });
});

const RANDOM = ['--checkpoint', 'random', '--preset', 'tiny', '--global-size', '32'];
const evaluate = (name: string, options: readonly string[], data: readonly string[] = ['--shards', train, '--val-shards', val]) =>
  detco(['eval', name, ...options, ...data, '--engine', 'wasm', '--workers', '1']);
const results = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as Record<string, { stages: Record<string, { top1: number }> }>;
const succeeded = (outcome: Outcome): Outcome => {
  expect(outcome).toMatchObject({ code: 0, signal: null });
  return outcome;
};

describe('what tells colours apart is above chance, and shuffled labels are not', () => {
  test.each([
    ['knn', ['--stages', 'res2,res5', '--k', '10'], 'knn'],
    ['linear', ['--cached', '--epochs', '30'], 'linear moco cached'],
    ['linear', ['--protocol', 'lightly', '--lr', '1', '--epochs', '8', '--batch', '32'], 'linear lightly'],
    ['svm', [], 'svm'],
  ] as const)('detco eval %s %j', async (name, options, title) => {
    const given = [...RANDOM, ...options, '--out', out];
    const found = succeeded(await evaluate(name, given));
    expect(found.stdout).toContain('above chance');
    expect(found.stdout).toContain('96 training and 80 validation images, 4 classes, crops of 32 pixels');
    const shuffled = succeeded(await evaluate(name, [...given, '--shuffle-labels']));
    expect(shuffled.stdout).toContain('within chance');
    expect(Object.keys(results(out))).toEqual([title, `${title}, shuffled labels`]);
  });
});

test('eval.json lies beside the checkpoint and keeps what others found', async () => {
  const file = join(run, 'checkpoints/step-4/eval.json');
  const checkpoint = ['--checkpoint', run];
  succeeded(await evaluate('knn', [...checkpoint, '--k', '5']));
  const first = results(file);
  expect(first['knn']?.stages['res5']?.top1).toBeGreaterThan(0);
  const key = succeeded(await evaluate('knn', [...checkpoint, '--encoder', 'key', '--name', 'momentum encoder', '--json']));
  expect(JSON.parse(key.stdout)).toMatchObject({ evaluation: 'knn', classes: 4, settings: { k: 9 } });
  expect(results(file)).toMatchObject(first);
  expect(Object.keys(results(file))).toEqual(['knn', 'momentum encoder']);
  expect(readdirSync(dirname(file)).filter((name) => /partial|lock/.test(name))).toEqual([]);
  // The checkpoint is still one: a run goes on from it.
  expect((await loadCheckpoint(run)).state.step).toBe(4);
});

test('a later folder without state.json is passed over, and the result says so', async () => {
  const cut = join(folder, 'cut-short');
  cpSync('fixtures/runs/detco-0.1', cut, { recursive: true, verbatimSymlinks: true });
  cpSync(join(cut, 'checkpoints/step-4'), join(cut, 'checkpoints/step-8'), { recursive: true });
  rmSync(join(cut, 'checkpoints/step-8/state.json'));
  const { stdout } = succeeded(await evaluate('rank', ['--checkpoint', cut, '--json'], ['--shards', val]));
  expect(JSON.parse(stdout)).toMatchObject({
    weights: join(cut, 'checkpoints/step-4/query.safetensors'),
    notes: [`${cut}/checkpoints/step-8 has no state.json and was passed over: it is no complete checkpoint`],
  });
});

test('weights that were exported are worth what they were', async () => {
  const weights = join(folder, 'r18.safetensors');
  succeeded(await detco(['export', '--checkpoint', run, '--format', 'safetensors', '--out', weights]));
  const stages = async (...options: readonly string[]) => {
    const { stdout } = succeeded(await evaluate('knn', [...options, '--global-size', '32', '--name', 'compared', '--json']));
    return (JSON.parse(stdout) as { stages: object }).stages;
  };
  expect(await stages('--checkpoint', weights)).toEqual(await stages('--checkpoint', run));
  expect(Object.keys(results(`${weights}.eval.json`))).toEqual(['compared']);
  // A file of weights does not say at what size they were trained, and the run does.
  const notes = async (...options: readonly string[]) => {
    const { stdout } = succeeded(await evaluate('rank', [...options, '--limit', '2', '--json'], ['--shards', val]));
    return JSON.parse(stdout) as { crop: number; notes: string[] };
  };
  const { recipe } = JSON.parse(readFileSync(join(run, 'config.json'), 'utf8')) as { recipe: { globalSize: number } };
  for (const checkpoint of [run, join(run, 'last')])
    expect(await notes('--checkpoint', checkpoint)).toMatchObject({ crop: recipe.globalSize, notes: [] });
  expect(await notes('--checkpoint', weights, '--global-size', '32')).toMatchObject({ crop: 32, notes: [] });
  expect(await notes('--checkpoint', weights)).toMatchObject({
    crop: 224,
    notes: [expect.stringContaining(`${weights} does not say at what size it was trained: crops of 224 pixels are taken`)],
  });
});

test('a label below 0 stands for none, and images of classes that were not trained on are told', async () => {
  const cls = (label: number, index: number) => ({ cls: String(index % 8 === 0 ? -1 - (index % 16) / 8 : label) });
  const data = ['--shards', await writeColouredShard(join(folder, 'partly.tar'), 40, cls), '--val-shards'];
  const val9 = await writeColouredShard(join(folder, 'partly-val.tar'), 24, (label, index): Readonly<Record<string, string>> =>
    index < 3 ? {} : { cls: String(label === 3 ? 9 : label) },
  );
  for (const options of [['knn'], ['linear', '--cached', '--epochs', '2'], ['linear', '--epochs', '1', '--lr', '0.1']] as const) {
    const [name, ...rest] = options;
    const { stdout } = succeeded(await evaluate(name, [...RANDOM, ...rest, '--json'], [...data, val9]));
    const { images, notes } = JSON.parse(stdout) as { images: object; notes: string[] };
    expect(images).toEqual({ train: 35, val: 21 });
    expect(notes.slice(0, 3)).toEqual([
      `left out of ${data[1]}: 5 images without a label (a number below 0 is none)`,
      `left out of ${val9}: 3 images without a label (a number below 0 is none)`,
      expect.stringMatching(/^6 of 21 validation images are of 1 class that no training image is of \(9\): they count as wrong/),
    ]);
  }
});

test('detco eval rank needs no labels', async () => {
  const plain = await writeColouredShard(join(folder, 'plain.tar'), 24, () => ({}));
  const { stdout } = succeeded(await evaluate('rank', [...RANDOM, '--stages', 'all', '--json'], ['--shards', plain]));
  const { images, stages } = JSON.parse(stdout) as {
    images: object;
    stages: Record<string, { effectiveRank: number; dimensions: number }>;
  };
  expect(images).toEqual({ train: 24, val: 0 });
  expect(Object.keys(stages)).toEqual(['res2', 'res3', 'res4', 'res5']);
  for (const { effectiveRank, dimensions } of Object.values(stages)) {
    expect(effectiveRank).toBeGreaterThan(1);
    expect(effectiveRank).toBeLessThan(dimensions);
  }
});

test('images of several classes are judged by the sets in a field', async () => {
  const sets = (label: number, index: number) => ({
    'classes.json': JSON.stringify(index % 5 === 0 ? { classes: [label], difficult: [(label + 1) % 4] } : [label, 4]),
  });
  const [from, to] = await Promise.all([
    writeColouredShard(join(folder, 'sets.tar'), 96, sets),
    writeColouredShard(join(folder, 'sets-val.tar'), 80, sets),
  ]);
  const data = ['--shards', from, '--val-shards', to];
  const { stdout } = succeeded(await evaluate('svm', [...RANDOM, '--classes-field', 'classes.json', '--costs', '0.1,10', '--json'], data));
  const { classes, stages } = JSON.parse(stdout) as { classes: number; stages: Record<string, { map11: number; accuracy?: object }> };
  expect(classes).toBe(5);
  expect(stages['res5']?.map11).toBeGreaterThan(0.5);
  expect(stages['res5']?.accuracy).toBeUndefined();
  const wrong = await writeColouredShard(join(folder, 'wrong.tar'), 8, () => ({ 'classes.json': '"cat"' }));
  const refused = await evaluate('svm', [...RANDOM, '--classes-field', 'classes.json'], ['--shards', wrong, '--val-shards', to]);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain('holds "\\"cat\\"": expected class numbers below 100000 as [3, 7]');
});

test('draws the confusion matrix and the neighbours', async () => {
  const [confusion, neighbours] = [join(folder, 'drawn/confusion.png'), join(folder, 'drawn/neighbours.png')];
  succeeded(await evaluate('knn', [...RANDOM, '--confusion', confusion, '--neighbours', neighbours]));
  const matrix = await sharp(confusion).grayscale().raw().toBuffer({ resolveWithObject: true });
  expect(matrix.info).toMatchObject({ width: 960, height: 960 });
  // What is right is on the diagonal.
  const level = (row: number, column: number) => matrix.data[(240 * row + 120) * 960 + 240 * column + 120] ?? 0;
  for (const one of [0, 1, 2, 3])
    for (const other of [0, 1, 2, 3]) if (other !== one) expect(level(one, one)).toBeLessThan(level(one, other));
  const { width, height } = await sharp(neighbours).metadata();
  expect({ width, height }).toEqual({ width: 4 + 9 * 42, height: 4 + 8 * 42 });
});

describe('refuses, with what to do, and keeps the results of before', () => {
  const refusal = async (code: number, outcome: Promise<Outcome>): Promise<string> => {
    const { stderr, ...rest } = await outcome;
    expect(rest.code).toBe(code);
    return stderr;
  };

  test('shards without labels', async () => {
    const plain = await writeColouredShard(join(folder, 'plain.tar'), 8, () => ({}));
    for (const name of ['knn', 'linear', 'svm'])
      expect(await refusal(1, evaluate(name, RANDOM, ['--shards', train, '--val-shards', plain]))).toContain(
        `no labelled image in ${plain}: a sample needs KEY.cls`,
      );
  });

  test('images of one class alone', async () => {
    const one = await writeColouredShard(join(folder, 'one.tar'), 8, () => ({ cls: '3' }));
    expect(await refusal(1, evaluate('knn', RANDOM, ['--shards', one, '--val-shards', val]))).toContain(
      `all 8 labelled images of ${one} are of class 3`,
    );
    expect(await refusal(1, evaluate('svm', RANDOM, ['--shards', one, '--val-shards', one]))).toContain('there is nothing to tell apart');
    expect(await refusal(1, evaluate('knn', [...RANDOM, '--limit', '1'], ['--shards', one, '--val-shards', val]))).toContain(
      `the only labelled image of ${one} is of class 3: there is nothing to tell apart`,
    );
  });

  test('a class that the validation images have not, unless --classes says so', async () => {
    const more = await writeColouredShard(join(folder, 'more.tar'), 8, (label) => ({ cls: String(label + 4) }));
    const data = ['--shards', more, '--val-shards', val];
    expect(await refusal(1, evaluate('linear', [...RANDOM, '--epochs', '1'], data))).toMatch(
      /has class [4-7], and the validation images, which tell how many classes there are, go up to 3: give --classes with .* at least [5-8]/,
    );
    succeeded(await evaluate('linear', [...RANDOM, '--epochs', '1', '--classes', '8'], data));
    const few = `--classes 3: the labels of ${val} go up to 3; give --classes 4`;
    expect(await refusal(1, evaluate('linear', [...RANDOM, '--epochs', '1', '--classes', '3']))).toContain(few);
  });

  test('more neighbours than there are: all vote, and it is said', async () => {
    const { stdout } = succeeded(await evaluate('knn', [...RANDOM, '--k', '500']));
    expect(stdout).toContain('k 500 is more than the 96 labelled training images: all of them vote');
    expect(stdout).toContain('; k 96,');
  });

  test('a learning rate that is far too high', async () => {
    const { stdout } = succeeded(await evaluate('linear', [...RANDOM, '--cached', '--lr', '1e6', '--epochs', '3']));
    expect(stdout).toMatch(/res5: a train loss of .* is above that of a guess, 1.386: the learning rate 1000000 is too high/);
    expect(stdout).toContain('give a lower --lr, or leave --lr out: the best of 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100 is taken then');
  });

  test('results that are none, before anything is computed', async () => {
    writeFileSync(out, '{"knn": ');
    expect(await refusal(2, evaluate('knn', [...RANDOM, '--out', out]))).toContain(`${out} cannot be read`);
    expect(readFileSync(out, 'utf8')).toBe('{"knn": ');
  });

  test('a file of something else, before anything is computed', async () => {
    const config = join(folder, 'config.json');
    const text = '{"version": 1, "options": {"batch": 8}}';
    writeFileSync(config, text);
    expect(await refusal(2, evaluate('knn', [...RANDOM, '--out', config]))).toContain(
      `${config} holds "version", which is no result of an evaluation: move it away, or give another file with --out`,
    );
    expect(readFileSync(config, 'utf8')).toBe(text);
  });

  test.each([
    ['--confusion', '--neighbours'],
    ['--confusion', '--out'],
  ])('one file for %s and %s', async (one, other) => {
    const [file, alias] = [join(folder, 'once.png'), `${folder}/./once.png`];
    const stderr = await refusal(2, evaluate('knn', [...RANDOM, one, file, other, alias]));
    expect(stderr).toContain(`${other} "${alias}": this is the file of ${one}, too; give each its own`);
    expect(stderr).not.toContain('engine');
    expect(existsSync(file)).toBe(false);
  });

  test.each(['--confusion', '--neighbours'])('a file of a run for %s, before anything is computed', async (option) => {
    const file = join(run, 'config.json');
    const before = readFileSync(file, 'utf8');
    const stderr = await refusal(2, evaluate('knn', [...RANDOM, option, file]));
    expect(stderr).toContain(`${option} "${file}": this file is there and no PNG: a result takes the place of an earlier one alone`);
    expect(stderr).not.toContain('engine');
    expect(readFileSync(file, 'utf8')).toBe(before);
  });

  test('a picture in the file of results beside the weights, whether there are results or not', async () => {
    const checkpoint = join(folder, 'fresh');
    cpSync('fixtures/runs/detco-0.1', checkpoint, { recursive: true, verbatimSymlinks: true });
    const file = join(checkpoint, 'checkpoints/step-4/eval.json');
    const picture = (): Promise<string> => refusal(2, evaluate('knn', ['--checkpoint', checkpoint, '--confusion', file]));
    expect(await picture()).toContain('expected a name that ends in .png');
    writeFileSync(file, '{}');
    expect(await picture()).toContain('this file is there and no PNG');
  });

  test('weights that are no numbers', async () => {
    const broken = join(folder, 'broken');
    cpSync('fixtures/runs/detco-0.1', broken, { recursive: true, verbatimSymlinks: true });
    const file = join(broken, 'checkpoints/step-4/query.safetensors');
    const bytes = readFileSync(file);
    bytes.writeFloatLE(NaN, bytes.length - 4);
    const header = Number(bytes.readBigUInt64LE());
    for (let at = 8 + header; at + 4 <= bytes.length; at += 4) bytes.writeFloatLE(NaN, at);
    writeFileSync(file, bytes);
    const statePath = join(broken, 'checkpoints/step-4/state.json');
    // A checkpoint of the first format may have no sums.
    const { files: _files, sha256: _sha256, ...state } = JSON.parse(readFileSync(statePath, 'utf8')) as Record<string, unknown>;
    writeFileSync(statePath, JSON.stringify(state));
    expect(await refusal(1, evaluate('knn', ['--checkpoint', broken]))).toMatch(/features of res5 hold NaN .*earlier checkpoint/);
    expect(existsSync(join(broken, 'checkpoints/step-4/eval.json'))).toBe(false);
  });

  test.each([
    ['a folder without a checkpoint', ['--checkpoint', 'src'], '"src" holds no weights'],
    [
      'a checkpoint that is not there',
      ['--checkpoint', 'fixtures/runs/detco-0.2'],
      `"fixtures/runs/detco-0.2" is not there: expected a run's folder, one of its checkpoints (RUN/checkpoints/step-N), a folder of detco import, or a file of weights, or random; did you mean "fixtures/runs/detco-0.1"?`,
    ],
    ['a word near random', ['--checkpoint', 'randon'], 'did you mean "random"'],
    ['a preset that is none', ['--checkpoint', 'random', '--preset', 'tinny'], 'did you mean "tiny"'],
    [
      'a stage that is none',
      ['--checkpoint', 'random', '--stages', 'res6'],
      '--stages "res6": expected all, or some of res2,res3,res4,res5',
    ],
    ['costs that are none', ['--checkpoint', 'random', '--costs', '1,x'], '--costs "1,x": expected numbers above 0'],
  ])('%s', async (_, options, message) => {
    expect(await refusal(2, evaluate('svm', options))).toContain(message);
  });

  test('an architecture for weights that have their own', async () => {
    expect(await refusal(2, evaluate('knn', ['--checkpoint', run, '--arch', 'resnet50']))).toContain(
      '--preset and --arch are of --checkpoint random',
    );
  });
});

(mayMount() ? test : test.skip)('on a disk that is full a result is printed, and the file is as it was', async () => {
  const disk = mkdtempSync(join(tmpdir(), 'detco-eval-disk-'));
  mountDisk(disk, '16k');
  try {
    const file = join(disk, 'results.json');
    const before = JSON.stringify({ other: { evaluation: 'knn', stages: {}, notes: ['x'.repeat(4096)] } });
    writeFileSync(file, before);
    writeFileSync(join(disk, 'rest'), 'x'.repeat(8192));
    const { code, stdout, stderr } = await evaluate('knn', [...RANDOM, '--out', file]);
    expect(code).toBe(1);
    expect(stdout).toContain('above chance');
    expect(stderr).toContain(`"${file}" could not be written`);
    expect(readFileSync(file, 'utf8')).toBe(before);
    expect(readdirSync(disk).filter((name) => /partial|lock/.test(name))).toEqual([]);
  } finally {
    unmountDisk(disk);
    rmSync(disk, { recursive: true });
  }
});

test('the folder of --out is made', async () => {
  const file = join(folder, 'a/b/results.json');
  succeeded(await evaluate('rank', [...RANDOM, '--out', file], ['--shards', val]));
  expect(Object.keys(results(file))).toEqual(['rank']);
});

test('Ctrl-C ends an evaluation, and the results of before are kept', async () => {
  succeeded(await evaluate('knn', [...RANDOM, '--out', out]));
  const before = readFileSync(out, 'utf8');
  let asked = false;
  const onLine = (line: string): NodeJS.Signals | undefined => {
    // A second one would end it at once.
    if (asked || !line.startsWith('linear classifier')) return undefined;
    asked = true;
    return 'SIGINT';
  };
  const data = ['--shards', train, '--val-shards', val, '--engine', 'wasm', '--workers', '1'];
  const stopped = await detco(['eval', 'linear', ...RANDOM, '--epochs', '100000', '--out', out, ...data], { onLine });
  expect(stopped).toMatchObject({ code: 130, signal: null, stdout: '' });
  expect(stopped.stderr).toContain('interrupted; the results of before are kept');
  expect(readFileSync(out, 'utf8')).toBe(before);
});
