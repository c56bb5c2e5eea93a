/** The command line of a comparison. */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { inspectEngines } from '../../dist/engine/index.js';
import { STAGES } from '../../dist/model/index.js';
import { readOptions, wholeNumber } from '../arguments.mjs';
import { ARMS, BASELINE } from './arms.mjs';
import { FULL, QUICK } from './settings.mjs';
import { MOST_SEEDS } from './statistics.mjs';

const CACHE = fileURLToPath(new URL('../../.cache/', import.meta.url));

/** @throws Error for what cannot be used, with what was expected */
export async function readArguments() {
  const values = readOptions({
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    'as-it-is': { type: 'boolean', default: false },
    page: { type: 'boolean', default: false },
    out: { type: 'string' },
    work: { type: 'string' },
    arms: { type: 'string', default: Object.keys(ARMS).join() },
    seeds: { type: 'string' },
    jobs: { type: 'string', default: String(availableParallelism()) },
    engine: { type: 'string' },
    updates: { type: 'string' },
    images: { type: 'string' },
    'queue-size': { type: 'string' },
    levels: { type: 'string' },
    photo: { type: 'boolean', default: false },
    seconds: { type: 'boolean', default: false },
  });
  const { quick, json, photo, seconds } = values;
  const number = (name, otherwise) => (values[name] === undefined ? otherwise : wholeNumber(name, values[name]));
  const base = quick ? QUICK : FULL;
  const work = values.work ?? join(CACHE, quick ? 'quality-quick' : 'quality');
  const arms = chosenArms(values.arms);
  const settings = {
    ...base,
    photo,
    ...(seconds && { seconds }),
    updates: number('updates', base.updates),
    images: { ...base.images, train: number('images', base.images.train) },
    ...(values['queue-size'] && { queueSize: number('queue-size') }),
    ...(values.levels && { levels: levelWeights(values.levels) }),
  };
  const whole = isDeepStrictEqual(settings, { ...FULL }) && arms.length === Object.keys(ARMS).length;
  return {
    json,
    asItIs: values['as-it-is'],
    pageOnly: values.page,
    work,
    // The page in docs/ is of all arms with these settings, and of nothing else.
    out: values.out ?? (whole ? undefined : work),
    arms,
    seeds: chosenSeeds(number('seeds', quick ? 2 : seconds ? 3 : 5)),
    atOnce: number('jobs'),
    engine: values.engine ?? (await inspectEngines()).find(({ available }) => available).name,
    settings,
  };
}

function chosenArms(text) {
  const names = text.split(',');
  const unknown = names.find((name) => !Object.hasOwn(ARMS, name));
  if (unknown !== undefined) throw new Error(`--arms ${text}: there is no "${unknown}"; expected some of ${Object.keys(ARMS).join()}`);
  if (!names.includes(BASELINE)) throw new Error(`--arms ${text}: the others are compared to ${BASELINE}; name it too`);
  return names;
}

function chosenSeeds(seeds) {
  if (seeds > MOST_SEEDS) throw new Error(`--seeds ${seeds}: expected at most ${MOST_SEEDS}`);
  return seeds;
}

function levelWeights(text) {
  const weights = text.split(',').map(Number);
  if (weights.length !== STAGES.length || !weights.every((weight) => weight > 0))
    throw new Error(`--levels ${text}: expected four weights above 0, of ${STAGES.join(', ')}; give for example --levels 0.1,0.4,0.7,1`);
  return Object.fromEntries(STAGES.map((stage, at) => [stage, weights[at]]));
}
