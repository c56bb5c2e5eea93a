import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { recipes } from '#dist/pipeline/index.js';
import { readConfigFile, resolveConfig, resumeConfig } from '#dist/train/config.js';
import { OptionsError } from '#dist/train/options-error.js';
import { configDigest, PRESET_NAMES, trainingRecipe, type ConfigInput, type TrainConfig } from '#dist/train/index.js';

const shards = ['a.tar'];

describe('options of a new run', () => {
  test('are those of the paper by default', () => {
    const config = resolveConfig({ shards });
    expect(config).toMatchObject({
      preset: 'detco-r50',
      batch: 256,
      epochs: 200,
      lr: 0.03,
      schedule: { kind: 'cosine' },
      optimizer: { name: 'sgd', momentum: 0.9, weightDecay: 1e-4 },
      warmupSteps: 0,
      method: { arch: 'resnet50', queueSize: 65_536, temperature: 0.2, keyMomentum: 0.999, dim: 128 },
    });
    expect(Object.keys(trainingRecipe(config).views)).toEqual(['globalQ', 'globalK', 'patchesQ', 'patchesK']);
  });

  test.each(PRESET_NAMES)('are complete with the preset %s alone, and go on as they are', (preset) => {
    const config = { ...resolveConfig({ shards, preset }), engine: 'wasm' } as const;
    expect(resumeConfig(JSON.parse(JSON.stringify(config)) as TrainConfig, {}, {}, 'runs/x')).toEqual(config);
  });

  test('are those of MoCo v1 with its preset', () => {
    const config = resolveConfig({ shards, preset: 'moco-v1-r50' });
    expect(config).toMatchObject({
      schedule: { kind: 'step', milestones: [120, 160], factor: 0.1 },
      method: { name: 'moco', temperature: 0.07, head: 'linear' },
    });
    expect(trainingRecipe(config).name).toBe('mocoV1');
  });

  test('name the views of MoCo as ever when they are drawn as those of SimCLR', () => {
    const recipe = trainingRecipe(resolveConfig({ shards, preset: 'moco-v2-r50', recipe: { name: 'simclr' } }));
    const { view1, view2 } = recipes.simclr().views;
    expect(recipe.views).toEqual({ globalQ: view1, globalK: view2 });
  });

  test.each(['moco-v2-r50', 'densecl-r50', 'simclr-r50', 'byol-r50'])(
    'give %s the whole images of DetCo, and not its patches',
    (preset) => {
      const recipe = trainingRecipe(resolveConfig({ shards, preset, recipe: { name: 'detco' } }));
      const { globalQ, globalK } = recipes.detco().views;
      expect(Object.values(recipe.views)).toEqual([globalQ, globalK]);
    },
  );

  test('come from the preset, then the file, then the caller, inside method too', () => {
    const file: ConfigInput = { preset: 'tiny', batch: 64, lr: 0.5, method: { queueSize: 512, temperature: 0.3 } };
    const config = resolveConfig({ shards, lr: 0.7, method: { queueSize: 2048 } }, file);
    expect(config).toMatchObject({ preset: 'tiny', batch: 64, lr: 0.7, method: { queueSize: 2048, temperature: 0.3, arch: 'resnet18' } });
  });

  test('keep the optimizer of the preset where only one of its options is given, and no other where another is named', () => {
    expect(resolveConfig({ shards, optimizer: { weightDecay: 0.01 } }).optimizer).toEqual({
      name: 'sgd',
      momentum: 0.9,
      weightDecay: 0.01,
    });
    const byol = { shards, preset: 'byol-r50' };
    expect(resolveConfig({ ...byol, optimizer: { trust: 0.01 } }).optimizer).toEqual({
      name: 'lars',
      momentum: 0.9,
      weightDecay: 1e-6,
      trust: 0.01,
    });
    expect(resolveConfig({ ...byol, optimizer: { name: 'sgd' } }).optimizer).toEqual({ name: 'sgd', momentum: 0.9, weightDecay: 1e-4 });
  });

  test('keep the sizes of the preset where another recipe is named, and nothing else that it has not', () => {
    const plain = { shards, preset: 'tiny', method: { terms: ['gg'] } } as const;
    expect(resolveConfig({ ...plain, recipe: { name: 'mocoV2' } }).recipe).toEqual({ name: 'mocoV2', globalSize: 48 });
    expect(resolveConfig({ shards, preset: 'tiny-moco', recipe: { name: 'simclr', strength: 0.5 } }).recipe).toEqual({
      name: 'simclr',
      globalSize: 48,
      strength: 0.5,
    });
    const file: ConfigInput = { preset: 'tiny', recipe: { patchSize: 16 } };
    expect(resolveConfig({ ...plain, recipe: { name: 'byol', globalSize: 96 } }, file).recipe).toEqual({ name: 'byol', globalSize: 96 });
    expect(resolveConfig({ shards }, file).recipe).toEqual({ name: 'detco', globalSize: 48, patchSize: 16, randAugment: false });
  });

  test('keep those of each layer that is of the recipe or the optimizer chosen at last', () => {
    const file: ConfigInput = { preset: 'tiny', recipe: { name: 'mocoV2', globalSize: 32 }, optimizer: { name: 'lars', weightDecay: 0.5 } };
    expect(resolveConfig({ shards, recipe: { name: 'detco' }, optimizer: { name: 'sgd' } }, file)).toMatchObject({
      recipe: { name: 'detco', globalSize: 32, patchSize: 24, randAugment: false },
      optimizer: { name: 'sgd', momentum: 0.9, weightDecay: 1e-4 },
    });
  });

  test('draw views of SimCLR as strongly as told', () => {
    const recipe = trainingRecipe(resolveConfig({ shards, preset: 'simclr-r50', recipe: { strength: 0.5 } }));
    expect(recipe).toEqual(recipes.simclr({ strength: 0.5 }));
  });

  test('make the views alone that losses read', () => {
    const config = resolveConfig({ shards, method: { terms: ['gg'] } });
    expect(Object.keys(trainingRecipe(config).views)).toEqual(['globalQ', 'globalK']);
  });

  test('take other levels as a whole', () => {
    expect(resolveConfig({ shards, method: { levels: { res5: 1 } } }).method).toMatchObject({ levels: { res5: 1 } });
  });

  test('fit the BN groups to a batch that they do not divide, or into groups of one image, unless they were chosen', () => {
    expect(resolveConfig({ shards, batch: 4 }).method.bnGroups).toBe(1);
    expect(resolveConfig({ shards, batch: 8 }).method.bnGroups).toBe(1);
    expect(resolveConfig({ shards, batch: 16 }).method.bnGroups).toBe(8);
    expect(resolveConfig({ shards, preset: 'tiny-moco', batch: 2 }).method.bnGroups).toBe(1);
    expect(resolveConfig({ shards, preset: 'tiny-moco', batch: 4 }).method.bnGroups).toBe(2);
    expect(() => resolveConfig({ shards, batch: 4, method: { bnGroups: 3 } })).toThrow(
      'method.bnGroups 3 does not divide batch 4: expected a divisor, such as 2',
    );
  });

  test.each<[string, ConfigInput, string]>([
    ['an unknown preset', { shards, preset: 'detco-r5' }, 'Unknown preset "detco-r5": did you mean "detco-r50"'],
    ['a preset of the name of a property', { shards, preset: 'constructor' }, 'Unknown preset "constructor": '],
    [
      'one row for a batch norm of a head',
      { shards, preset: 'tiny-byol', batch: 1 },
      'method.bnGroups 1 leaves one image of batch 1 to a group, and batch norm would normalise it by itself: use --batch 2 or more',
    ],
    [
      'a batch of one image, with a queue',
      { shards, preset: 'tiny-moco', batch: 1 },
      'method.bnGroups 1 leaves one image of batch 1 to a group, and batch norm would normalise it by itself: use --batch 2 or more',
    ],
    [
      'chosen groups of one image',
      { shards, preset: 'tiny', batch: 8, method: { bnGroups: 8 } },
      'method.bnGroups 8 leaves one image of batch 8 to a group, and batch norm would normalise it by itself: use --batch 16 or more, or method.bnGroups 1',
    ],
    [
      'a hidden width of the linear heads of DetCo',
      { shards, method: { head: 'linear', hidden: 512 } },
      'method.hidden 512 with method.head linear, which has no hidden layer: leave method.hidden out, or use method.head mlp',
    ],
    [
      'one of the linear head of MoCo',
      { shards, preset: 'moco-v1-r50', method: { hidden: 512 } },
      'method.hidden 512 with method.head linear',
    ],
    [
      'groups that images do not divide into, though their views do',
      { shards, preset: 'tiny-simclr', batch: 4, method: { bnGroups: 8 } },
      'method.bnGroups 8 does not divide batch 4: expected a divisor, such as 2',
    ],
    [
      'more prototypes than embeddings',
      { shards, preset: 'swav-r50', method: { queueSize: 0 } },
      'method.prototypes 3000 is more than the 256 embeddings that are shared out among them, batch 256 and queueSize (--queue-size) 0: ' +
        'use method.prototypes 256 or fewer, or --queue-size 2816 or more',
    ],
    [
      'a queue of no whole batches',
      { shards, preset: 'swav-r50', batch: 200 },
      'method.queueSize (--queue-size) 3840 is not a multiple of batch 200',
    ],
    [
      'whole images for crops',
      { shards, preset: 'tiny-swav', recipe: { name: 'simclr' } },
      'method swav needs the views global, local, which recipe "simclr" does not make: use recipe.name swav',
    ],
    ['an unknown option', { shards, lerningRate: 1 } as ConfigInput, 'Unknown option "lerningRate": '],
    ['a misspelt option', { shards, epoch: 1 } as ConfigInput, 'Unknown option "epoch": did you mean "epochs"'],
    [
      'an unknown option inside',
      { shards, method: { queue: 1 } } as ConfigInput,
      'Unknown option "method.queue": did you mean "queueSize"',
    ],
    ['no shards', {}, 'No shards to train on: give --shards'],
    [
      'a queue that batches do not fill',
      { shards, batch: 96 },
      'method.queueSize (--queue-size) 65536 is not a multiple of batch 96: keys are enqueued a whole batch at a time; use --queue-size 65568',
    ],
    ['a batch that is no count', { shards, batch: 1.5 }, 'batch = 1.5: '],
    [
      'views that the recipe does not make',
      { shards, recipe: { name: 'mocoV2' } },
      'method detco needs the views patchesQ, patchesK, which recipe "mocoV2" does not make: use recipe.name detco',
    ],
    [
      'two whole images for two sets of patches',
      { shards, method: { terms: ['ll'] }, recipe: { name: 'mocoV2' } },
      'method detco needs the views patchesQ, patchesK, which recipe "mocoV2" does not make: use recipe.name detco',
    ],
    [
      'pictures that are no whole cells of a method that predicts each cell',
      { shards, preset: 'tiny-inpainting', recipe: { globalSize: 20 } },
      'The view "masked" is 20 x 20 pixels: expected a multiple of 8, the pixels that a cell of the last map stands for; use recipe.globalSize (--global-size) 24',
    ],
    [
      "an option of another method's",
      { shards, preset: 'moco-v2-r50', method: { terms: ['gg'] } },
      'method.terms is an option of detco, and not of moco: leave it out, or use a preset of detco',
    ],
    [
      "a flag that is another method's",
      { shards, preset: 'byol-r50', method: { queueSize: 64 } },
      'method.queueSize (--queue-size) is an option of detco, moco, ',
    ],
    [
      'a method that the preset is not of',
      { shards, preset: 'tiny', method: { name: 'moco' } },
      'method.name "moco" with preset "tiny", which is of detco: use a preset of moco (moco-v2-r50, moco-v1-r50, tiny-moco), or leave',
    ],
    [
      'an engine that does not exist',
      { shards, engine: 'torhc' as 'wasm' },
      'engine = "torhc": did you mean "torch"? Expected one of auto, ',
    ],
    [
      'a value of a flag of another name',
      { shards, checkShards: 'size' as 'sizes' },
      'checkShards (--check-shards) = "size": did you mean "sizes"',
    ],
    ['a name that is no text', { shards, engine: Object.create(null) as 'wasm' }, 'expected one of auto, '],
    [
      "an option of another recipe's",
      { shards, preset: 'tiny-moco', recipe: { patchSize: 16 } as ConfigInput['recipe'] },
      'recipe.patchSize is an option of detco, pirl, and not of mocoV2: leave it out, or use recipe.name detco or pirl',
    ],
    [
      'an option that the recipe chosen has not',
      { shards, recipe: { name: 'byol', randAugment: false } as ConfigInput['recipe'] },
      'recipe.randAugment is an option of detco, and not of byol',
    ],
    ['a recipe too strong', { shards, preset: 'simclr-r50', recipe: { strength: 3 } }, 'recipe.strength = 3: '],
    [
      "an option of another optimizer's",
      { shards, optimizer: { trust: 0.1 } },
      'optimizer.trust is an option of lars, and not of sgd: leave it out, or use optimizer.name lars',
    ],
    [
      'an optimizer that does not exist',
      { shards, optimizer: { name: 'lar' as 'lars' } },
      'optimizer.name = "lar": did you mean "lars"? Expected one of sgd, lars',
    ],
    [
      'a schedule that does not exist',
      { shards, schedule: { kind: 'cosin' as 'cosine' } },
      'schedule.kind = "cosin": did you mean "cosine"? Expected one of cosine, step',
    ],
    [
      'a schedule of steps without them',
      { shards, schedule: { kind: 'step' } as ConfigInput['schedule'] },
      'schedule.milestones = undefined: expected the epochs at which the rate falls, as in schedule: { kind: step, milestones: [120, 160] }',
    ],
    [
      "an option of another schedule's",
      { shards, schedule: { kind: 'cosine', factor: 2 } as ConfigInput['schedule'] },
      'schedule.factor is an option of step, and not of cosine: leave it out, or use schedule.kind step',
    ],
    ['a temperature that float32 does not bear', { shards, method: { temperature: 1e-300 } }, 'method.temperature = 1e-300: '],
    ['such a temperature of SimCLR', { shards, preset: 'simclr-r50', method: { temperature: 1e-5 } }, 'method.temperature = 0.00001: '],
    ['a jigsaw of one permutation', { shards, preset: 'jigsaw-r50', method: { permutations: 1 } }, 'method.permutations = 1: '],
    [
      'a jigsaw without patches',
      { shards, preset: 'jigsaw-r50', recipe: { name: 'mocoV2' } },
      'method jigsaw needs the views patches, which recipe "mocoV2" does not make: use recipe.name detco or ',
    ],
    ['such a temperature of votes', { shards, knn: { temperature: 1e-300 } }, 'knn.temperature = 1e-300: '],
    ['a recipe that does not exist', { shards, recipe: { name: 'mocov2' as 'detco' } }, 'recipe.name = "mocov2": did you mean "mocoV2"'],
  ])('refuse %s', (_what, given, message) => {
    expect(() => resolveConfig(given)).toThrow(message);
  });
});

describe('a number', () => {
  const preset = 'moco-v1-r50';
  const config = resolveConfig({ shards, preset });
  const numbersOf = (options: object) => Object.entries(options).flatMap(([name, value]) => (typeof value === 'number' ? [name] : []));
  const within = (part: 'method' | 'recipe' | 'knn') => numbersOf(config[part]).map((name) => `${part}.${name}`);
  const optional = ['steps', 'workers', 'maxPixels', 'checkpointEvery', 'knn.k'];
  const names = [...numbersOf(config), ...within('method'), ...within('recipe'), ...within('knn'), ...optional];

  test.each(names.filter((name) => name !== 'lr'))('%s has bounds', (name) => {
    for (const value of [1e15, -1]) {
      const [outer = '', inner] = name.split('.');
      const given = { shards, preset, [outer]: inner === undefined ? value : { [inner]: value } } as ConfigInput;
      expect(() => resolveConfig(given)).toThrow(
        new RegExp(String.raw`${name.replace('.', String.raw`\.`)}( \(--[a-z-]+\))? (= )?${value}\b`),
      );
    }
  });

  test('of a schedule has bounds', () => {
    const schedule: ConfigInput['schedule'] = { kind: 'step', milestones: [1e15], factor: 1e15 };
    expect(() => resolveConfig({ shards, schedule })).toThrow(/milestones\.0 = 1000000000000000: .*schedule\.factor = 1000000000000000: /);
  });

  test('of a learning rate is above 0 and what float32 holds, as on the command line', () => {
    for (const lr of [0, 1e39]) expect(() => resolveConfig({ shards, lr })).toThrow(`lr = ${lr}: `);
  });
});

describe('config file', () => {
  let folder = '';
  let path = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'detco-config-'));
    path = join(folder, 'f.yaml');
  });
  afterEach(() => rm(folder, { recursive: true }));

  test('may have the options of 0.1 for the optimizer', async () => {
    await writeFile(path, 'preset: tiny\nsgdMomentum: 0.8\nweightDecay: 0.001\n');
    const { optimizer } = resolveConfig({ shards }, await readConfigFile(path));
    expect(optimizer).toEqual({ name: 'sgd', momentum: 0.8, weightDecay: 0.001 });
  });

  test.each([
    ['weightDecay: 0.1', 'optimizer: lars', 'weightDecay and optimizer are both given in FILE'],
    ['weightDecay: 0.1', 'optimizer:', 'weightDecay and optimizer are both given in FILE'],
    ['weightDecay: 0.1', 'optimizer: [lars]', 'weightDecay and optimizer are both given in FILE'],
    ['weightDecay: 0.1', 'optimizer: { weightDecay: 0.2 }', 'weightDecay and optimizer are both given in FILE'],
    ['sgdMomentum: 0.5', 'optimizer: { name: lars }', 'sgdMomentum and optimizer are both given in FILE'],
    ['sgdMomentum: 0.5\nweightDecay: 0', 'optimizer: {}', 'sgdMomentum and weightDecay and optimizer are both given in FILE'],
  ])('has %s in the place of 0.1 or %s in that of today, and not both', async (old, optimizer, message) => {
    await writeFile(path, `preset: tiny\n${old}\n${optimizer}\n`);
    await expect(readConfigFile(path)).rejects.toThrow(message.replace('FILE', path));
  });

  test('is YAML with the names of config.json', async () => {
    await writeFile(path, 'preset: tiny\nmethod:\n  queueSize: 512\nschedule: { kind: step, milestones: [2] }\n');
    expect(resolveConfig({ shards }, await readConfigFile(path))).toMatchObject({
      method: { queueSize: 512 },
      schedule: { kind: 'step', milestones: [2], factor: 0.1 },
    });
  });

  test.each([
    ['optimizer: sdg', 'optimizer = "sdg": expected options, as in optimizer: { name: sgd }'],
    ['optimizer:', 'optimizer = null: expected options, as in optimizer: { name: sgd }'],
    ['recipe: simclr', 'recipe = "simclr": expected options, as in recipe: { name: simclr }'],
    ['method:', 'method = null: expected options, as in method: { name: detco }'],
    ['schedule: cosine', 'schedule = "cosine": expected options, as in schedule: { kind: cosine }'],
    ['knn: 5', 'knn = 5: expected options, as in knn: { bank: 5000 }'],
  ])('is refused with an example of the form for %s', async (line, message) => {
    await writeFile(path, `preset: tiny\n${line}\n`);
    const file = await readConfigFile(path);
    expect(() => resolveConfig({ shards }, file)).toThrow(message);
  });

  test.each([
    ['method:', 'Unusable options in FILE: method = null: expected options, as in method: { name: simclr }'],
    [
      'method: moco',
      'Unusable options in FILE: method = "moco": the method is the preset\'s, simclr: use a preset of moco (moco-v2-r50, moco-v1-r50, tiny-moco)',
    ],
    ['recipe:', 'Unusable options in FILE: recipe = null: expected options, as in recipe: { name: simclr }'],
    [
      'method: { temprature: 0.1 }',
      'Unknown option "method.temprature" in FILE: did you mean "temperature"? Expected one of name, arch, width, stem, hidden, dim, temperature, bnGroups',
    ],
  ])('is answered with what the method of its preset has, for %s', async (line, message) => {
    await writeFile(path, `preset: tiny-simclr\n${line}\n`);
    const file = await readConfigFile(path);
    const told = new OptionsError(message.replace('FILE', path));
    expect(() => resolveConfig({ shards }, file, path)).toThrow(told);
    const saved = { ...resolveConfig({ shards, preset: 'tiny-simclr' }), engine: 'wasm' };
    expect(() => resumeConfig(saved, {}, file, 'runs/x', path)).toThrow(told);
  });

  test.each([
    ['recipe: { patchSize: 16 }', 'recipe.patchSize in FILE is an option of detco, pirl, and not of mocoV2'],
    ['recipe: { name: byol, randAugment: true }', 'recipe.randAugment in FILE is an option of detco, and not of byol'],
    ['optimizer: { trust: 0.1 }', 'optimizer.trust in FILE is an option of lars, and not of sgd'],
    ['method: { terms: [gg] }', 'method.terms in FILE is an option of detco, and not of moco'],
  ])('is named where an option of it is of another kind: %s', async (line, message) => {
    await writeFile(path, `preset: tiny-moco\n${line}\n`);
    const file = await readConfigFile(path);
    expect(() => resolveConfig({ shards }, file, path)).toThrow(message.replace('FILE', path));
  });

  test('may have at a resume what the version that began the run took of it', async () => {
    await writeFile(path, 'preset: tiny-moco\nrecipe: { name: mocoV2, globalSize: 32, patchSize: 16 }\n');
    const file = await readConfigFile(path);
    const begun = resolveConfig({ shards, preset: 'tiny-moco', recipe: { globalSize: 32 } });
    const saved = { ...begun, engine: 'wasm', recipe: { ...begun.recipe, patchSize: 16, randAugment: false } };
    const alone = resumeConfig(saved, {}, {}, 'runs/x');
    expect(resumeConfig(saved, {}, file, 'runs/x', path)).toEqual(alone);
    expect(resumeConfig(saved, file, {}, 'runs/x')).toEqual(alone);
    // What it never took is refused as ever.
    await writeFile(path, 'recipe: { strength: 2 }');
    const other = await readConfigFile(path);
    expect(() => resumeConfig(saved, {}, other, 'runs/x', path)).toThrow(
      `recipe.strength in ${path} is an option of simclr, and not of mocoV2`,
    );
  });

  test('is refused with the unknown key, the nearest ones and its own name', async () => {
    await writeFile(path, 'batchsize: 64\n');
    await expect(readConfigFile(path)).rejects.toThrow(`Unknown option "batchsize" in ${path}: did you mean "batch"`);
    await writeFile(path, 'just words');
    await expect(readConfigFile(path)).rejects.toThrow(`The config file "${path}" holds "just words"`);
    await expect(readConfigFile(join(folder, 'none.yaml'))).rejects.toThrow(`Cannot read the config file "${join(folder, 'none.yaml')}"`);
    await expect(readConfigFile(folder)).rejects.toThrow(/Cannot read the config file .*EISDIR.*; expected a YAML file of options/);
  });
});

describe('an unusable value of a config file', () => {
  const resolved = (given: ConfigInput, file: object) => () => resolveConfig({ shards, ...given }, file as ConfigInput, 'run.yaml');

  test.each<[object, RegExp]>([
    [{ batch: 0 }, /^Unusable options in run\.yaml: batch = 0: /],
    [{ method: { temperature: -1 } }, /^Unusable options in run\.yaml: method\.temperature = -1: /],
    [{ schedule: { kind: 'step', milestones: [0.5], factor: 0.1 } }, /^Unusable options in run\.yaml: schedule\.milestones\.0 = 0\.5: /],
    [{ preset: 'detco-r5' }, /^Unknown preset "detco-r5" in run\.yaml: did you mean "detco-r50"/],
    [{ preset: 'tiny', method: { name: 'moco' } }, /^method\.name "moco" in run\.yaml with preset "tiny", which is of detco/],
  ])('is told with the file: %j', (file, message) => {
    expect(resolved({}, file)).toThrow(message);
  });

  test('is not told with it where the caller gives another, nor what the caller gives', () => {
    expect(resolved({ batch: 0 }, { batch: 0 })).toThrow(/^Unusable options: batch = 0: /);
    expect(resolved({ batch: 0, method: { temperature: -1 } }, { lr: -1, method: { dim: 64 } })).toThrow(
      /^Unusable options: batch = 0: .*; method\.temperature = -1: .*\. Unusable options in run\.yaml: lr = -1: /,
    );
  });
});

describe('options of a resumed run', () => {
  const saved = JSON.parse(JSON.stringify({ ...resolveConfig({ shards, preset: 'tiny', seed: 3 }), engine: 'wasm' })) as TrainConfig;

  test('are the saved ones', () => {
    expect(resumeConfig(saved, {}, {}, 'runs/x')).toEqual(saved);
    expect(resumeConfig(saved, { preset: 'tiny', engine: 'auto', seed: 3 }, {}, 'runs/x')).toEqual(saved);
  });

  test('may be said again where the run left them to their defaults', () => {
    expect(resumeConfig(saved, { decode: 'worker', draft: false, maxPixels: 67_108_864, labelField: 'cls' }, {}, 'runs/x')).toEqual(saved);
    for (const preset of ['moco-v2-r50', 'simclr-r50', 'densecl-r50']) {
      const begun = { ...resolveConfig({ shards, preset }), engine: 'wasm' } as TrainConfig;
      expect(resumeConfig(begun, { method: { hidden: 2048 } }, {}, 'runs/x')).toEqual(begun);
      expect(() => resumeConfig(begun, { method: { hidden: 1024 } }, {}, 'runs/x')).toThrow('method.hidden 1024 differs from 2048');
    }
  });

  test('of a config file name it where they differ or cannot be used', () => {
    const resumed = (given: ConfigInput, file: ConfigInput) => () => resumeConfig(saved, given, file, 'runs/x', 'run.yaml');
    expect(resumed({}, { seed: 4 })).toThrow('seed 4 in run.yaml differs from 3');
    expect(resumed({ seed: 4 }, { seed: 3 })).toThrow('seed 4 differs from 3');
    expect(resumed({}, { method: { temperature: 0.5 } })).toThrow('method.temperature 0.5 in run.yaml differs from 0.1');
    expect(resumed({}, { steps: 0 })).toThrow(/^Unusable options in run\.yaml: steps = 0: /);
  });

  test('may be such as a new run is refused for, where they compute', () => {
    const method = { ...saved.method, head: 'linear', hidden: 64, bnGroups: 32 };
    const begun = { ...saved, batch: 32, method } as TrainConfig;
    expect(resumeConfig(begun, {}, {}, 'runs/x')).toEqual(begun);
    expect(() => resolveConfig(begun as unknown as ConfigInput)).toThrow('method.hidden 64');
  });

  test('may differ where the loss does not', () => {
    expect(
      resumeConfig(saved, { steps: 50, workers: 1, device: 'cpu', checkpointEvery: 2, valShards: ['v.tar'] }, {}, 'runs/x'),
    ).toMatchObject({
      steps: 50,
      workers: 1,
      device: 'cpu',
      checkpointEvery: 2,
      valShards: ['v.tar'],
      seed: 3,
    });
  });

  test.each<[string, ConfigInput, string]>([
    ['seed', { seed: 4 }, 'seed 4 differs from 3, with which runs/x began'],
    ['precision', { precision: 'bf16' }, 'precision "bf16" differs from "fp32", with which runs/x began'],
    ['engine', { engine: 'torch' }, 'engine "torch" differs from "wasm", with which runs/x began'],
    ['preset', { preset: 'detco-r50' }, 'preset "detco-r50" differs from "tiny"'],
    ['method', { method: { temperature: 0.5 } }, 'method.temperature 0.5 differs from 0.1'],
    [
      'an option that it did not have',
      { cacheSize: '1G', maxPixels: 100 },
      'maxPixels (--max-pixels) 100 differs from 67108864, with which runs/x began',
    ],
    ['who decodes', { decode: 'device', augment: 'device' }, 'decode "device" differs from "worker", with which runs/x began'],
    ['whether images are drafted', { draft: true }, 'draft true differs from false, with which runs/x began'],
    ['optimizer', { optimizer: { trust: 0.1, name: 'lars' } }, 'optimizer.name "lars" differs from "sgd", with which runs/x began'],
  ])('may not differ in %s', (_what, given, message) => {
    expect(() => resumeConfig(saved, given, {}, 'runs/x')).toThrow(message);
  });

  test.each<[string, object, string]>([
    ['an unknown option', { batchsize: 8 }, 'Unknown option "batchsize" in runs/x/config.json: did you mean "batch"'],
    ['an option of 0.1 as well', { weightDecay: 0.1 }, 'weightDecay and optimizer are both given in runs/x/config.json'],
    ['an unusable value', { batch: 'x' }, 'Unusable options in runs/x/config.json: batch = "x": '],
    [
      "an option of another method's",
      { method: { ...saved.method, strength: 1 } },
      'Unknown option "method.strength" in runs/x/config.json: ',
    ],
    [
      "an option of another recipe's",
      { recipe: { ...saved.recipe, strength: 1 } },
      'recipe.strength in runs/x/config.json is an option of simclr, and not of detco',
    ],
  ])('are not those of a config.json with %s, which is named', (_what, changed, message) => {
    expect(() => resumeConfig({ ...saved, ...changed }, {}, {}, 'runs/x')).toThrow(message);
  });

  test('of before there was a choice of precision are those of fp32', () => {
    const config = resolveConfig({ shards, preset: 'tiny' });
    const { precision: _precision, device: _device, ...older } = config;
    expect(resumeConfig(older, {}, {}, 'runs/x')).toEqual(config);
    // What the digest of such a run was made from.
    expect(configDigest(older as typeof config, shards)).toBe(configDigest(config, shards));
  });

  // Made by the version before recipes had each its own options.
  test.each([
    [
      'tiny-moco',
      { name: 'mocoV2', globalSize: 48, patchSize: 32, randAugment: false },
      '3303d5024612c54a22010735a502b663e7a80ec9061abc76d302eadf0ff5069a',
    ],
    [
      'tiny-simclr',
      { name: 'simclr', globalSize: 48, patchSize: 64, randAugment: true },
      '5ba731f52631c8c00ad5df6eb50ac1ab1d22cb2aece584e65116f916d4f1ee9f',
    ],
    [
      'tiny-byol',
      { name: 'byol', globalSize: 48, patchSize: 7, randAugment: true },
      'edd9f460caddfea75cb8a8d88eb5d0ee929b0afa458076b655ebc94ce9ae37c1',
    ],
    [
      'tiny',
      { name: 'detco', globalSize: 48, patchSize: 24, randAugment: false },
      'edeae3420fd9b49686c81de2c1d0483fdc5a06a18ac75a8b690eb9572702cca3',
    ],
  ] as const)('with options that the recipe of %s has not have the digest that they had, again and again', (preset, recipe, digest) => {
    const before = { ...resolveConfig({ shards, preset }), engine: 'wasm', recipe };
    const config = resumeConfig(before, {}, {}, 'runs/x');
    const again = resumeConfig(JSON.parse(JSON.stringify(config)) as TrainConfig, {}, {}, 'runs/x');
    expect([config, again].map((one) => configDigest(one, shards))).toEqual([digest, digest]);
    expect(trainingRecipe(config)).toEqual(trainingRecipe(resolveConfig({ shards, preset })));
  });

  test('of 0.1 that recorded options of another recipe have the digest that they had', async () => {
    const {
      folders: _folders,
      loginLeftOut: _login,
      engineDescription: _engine,
      versions: _versions,
      ...first
    } = JSON.parse(await readFile('fixtures/runs/detco-0.1/config.json', 'utf8')) as Record<string, unknown>;
    const recipe = { name: 'mocoV2', globalSize: 32, patchSize: 16, randAugment: false };
    const before = { ...first, recipe, method: { ...(first['method'] as object), terms: ['gg'] } };
    const config = resumeConfig(before, {}, {}, 'runs/x');
    expect(configDigest(config, shards, 1)).toBe('99e351e848fa7738a869f241f163144d05b70fa6df1fe517ff89e89f268385c7');
  });

  test('have a digest that moves with the loss alone', () => {
    const config = resolveConfig({ shards, preset: 'tiny' });
    const digest = configDigest(config, shards);
    expect(configDigest({ ...config, steps: 3, workers: 1, device: 'cuda:1', threads: 2 }, shards)).toBe(digest);
    expect(configDigest({ ...config, precision: 'bf16' }, shards)).not.toBe(digest);
    expect(configDigest({ ...config, lr: 1 }, shards)).not.toBe(digest);
    expect(configDigest(config, ['b.tar'])).not.toBe(digest);
  });
});
