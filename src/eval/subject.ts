/** The encoder that is evaluated: a checkpoint's, or one that starts at random, which tells what the architecture gives by itself. */
import { dirname, join } from 'node:path';
import { tensor } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import { expectedOneOf } from '../common/nearest.js';
import { oneOf } from '../common/one-of.js';
import type { Engine } from '../engine/engine.js';
import {
  type Architecture,
  ARCHITECTURE_NAMES,
  type Backbone,
  createBackbone,
  METHOD_PRESETS,
  type MethodInput,
  methodOptions,
  type ResNetOptions,
} from '../model/index.js';
import { loadCheckpoint } from '../train/checkpoint.js';
import { namedCheckpoint } from '../train/run-checkpoints.js';
import { readRunConfig } from '../train/run-directory.js';
import { type Encoder, RANDOM } from './encoders.js';

/** What methods call them. */
const SECTIONS: Readonly<Record<Encoder, readonly string[]>> = { query: ['query', 'online'], key: ['key', 'target'] };

export interface SubjectOptions {
  /** A run's folder, one of its checkpoints, or `random`. */
  readonly checkpoint: string;
  readonly encoder: Encoder;
  /** Of `random`: a preset whose network and image size are taken, and another architecture. */
  readonly preset?: string;
  readonly arch?: Architecture;
  readonly seed: number;
}

export interface Subject extends Disposable {
  readonly backbone: Backbone;
  /** One line for people. */
  readonly name: string;
  /** Side of the images that it was trained on, pixels. */
  readonly globalSize: number;
  /** Where its results are kept, beside the weights; undefined for random ones. */
  readonly results?: string;
}

const configSchema = z.object({
  method: z.object({ arch: oneOf(ARCHITECTURE_NAMES), width: z.int(), stem: oneOf(['imagenet', 'small']) }),
  recipe: z.object({ globalSize: z.number() }),
});
const RESULTS = 'eval.json';
const DEFAULT_PRESET = 'detco-r50';
const DEFAULT_SIDE = 224;

/**
 * @throws RangeError for a preset that is none, or options that do not go together
 * @throws Error for what holds no encoder, naming the path
 */
export async function openSubject(engine: Engine, options: SubjectOptions): Promise<Subject> {
  const { checkpoint, encoder, seed, preset, arch } = options;
  if (checkpoint === RANDOM) {
    const { architecture, globalSize } = randomArchitecture(options);
    return { ...createBackbone(engine, architecture, seed), name: `random weights of seed ${seed}, ${inWords(architecture)}`, globalSize };
  }
  if (preset !== undefined || arch !== undefined)
    throw new RangeError(
      `--preset and --arch are of --checkpoint ${RANDOM}: the weights of ${checkpoint} have their own network; leave them out`,
    );
  const { path, tensors } = await loadCheckpoint(checkpoint);
  const run = namedCheckpoint(path)?.run ?? dirname(path);
  const { method, recipe } = configSchema.parse(await readRunConfig(run));
  const part = SECTIONS[encoder].find((section) => section in tensors);
  const stored = part === undefined ? undefined : tensors[part];
  if (!stored) throw new RangeError(`${path} has one encoder: leave --encoder ${encoder} out`);
  const made = createBackbone(engine, method, seed);
  for (const [name, variable] of made.tensors) {
    const values = stored.get(name);
    if (values?.shape.join() !== variable.shape.join())
      throw new Error(`${path}/${part}.safetensors has no "${name}" of shape [${variable.shape.join(', ')}]`);
    const start = tensor(values.data, [...variable.shape]);
    variable.assign(start);
    start.dispose();
  }
  return { ...made, name: `${path} (${encoder} encoder), ${inWords(method)}`, globalSize: recipe.globalSize, results: join(path, RESULTS) };
}

function randomArchitecture({ preset = DEFAULT_PRESET, arch }: SubjectOptions): {
  readonly architecture: ResNetOptions;
  readonly globalSize: number;
} {
  const found = Object.hasOwn(METHOD_PRESETS, preset) ? METHOD_PRESETS[preset] : undefined;
  if (found === undefined) throw new RangeError(`--preset "${preset}": ${expectedOneOf(preset, Object.keys(METHOD_PRESETS))}`);
  const method = methodOptions(found.method as MethodInput);
  return { architecture: { ...method, arch: arch ?? method.arch }, globalSize: found.recipe.globalSize ?? DEFAULT_SIDE };
}

function inWords({ arch, width }: ResNetOptions): string {
  return width === 64 ? arch : `${arch} of width ${width}`;
}
