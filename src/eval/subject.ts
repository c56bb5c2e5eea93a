/** The encoder that is evaluated: somebody's weights, or random ones, which tell what the architecture gives by itself. */
import { dirname, join } from 'node:path';
import { realpath, stat } from 'node:fs/promises';
import { z } from 'zod';
import { expectedOneOf } from '../common/nearest.js';
import type { Engine } from '../engine/engine.js';
import { assertThere, type Encoder, loadBackbone } from '../interop/index.js';
import {
  type Architecture,
  assign,
  type Backbone,
  createBackbone,
  METHOD_PRESETS,
  type MethodInput,
  methodOptions,
  type ResNetOptions,
} from '../model/index.js';
import { EVALUATION_FILE, namedCheckpoint } from '../train/run-checkpoints.js';
import { readRunConfig } from '../train/run-directory.js';

/** What stands for weights that nobody has trained, where a checkpoint is asked for. */
const RANDOM = 'random';

export interface SubjectOptions {
  /** A run's folder, one of its checkpoints, a folder of `detco import`, a file of weights, or `random`. */
  readonly checkpoint: string;
  readonly encoder: Encoder;
  /** Of `random`: a preset whose network and image size are taken, and another architecture. */
  readonly preset?: string;
  readonly arch?: Architecture;
  readonly seed: number;
}

export interface Subject extends Disposable {
  readonly backbone: Backbone;
  /** The file of its weights, or that there is none. */
  readonly name: string;
  readonly architecture: ResNetOptions;
  /** SHA-256 of the file of weights; undefined for random ones. */
  readonly sha256?: string;
  /** Side of the images that it was trained on, pixels, where that is known. */
  readonly globalSize?: number;
  /** Where its results are kept, beside the weights; undefined for random ones. */
  readonly results?: string;
  /** What the user is to know of where its weights were read. */
  readonly warnings: readonly string[];
}

const sizeSchema = z.object({ recipe: z.object({ globalSize: z.int() }) });
const DEFAULT_PRESET = 'detco-r50';

/**
 * @throws RangeError for a preset that is none, or options that do not go together
 * @throws WeightsError or CheckpointError for what holds no encoder, naming the path
 */
export async function openSubject(engine: Engine, options: SubjectOptions): Promise<Subject> {
  const { checkpoint, encoder, seed, preset, arch } = options;
  if (checkpoint === RANDOM) return randomSubject(engine, options);
  if (preset !== undefined || arch !== undefined)
    throw new RangeError(
      `--preset and --arch are of --checkpoint ${RANDOM}: the weights of ${checkpoint} have their own network; leave them out`,
    );
  const { architecture, tensors, source, warnings } = await loadBackbone(checkpoint, { encoder });
  const made = createBackbone(engine, architecture, seed);
  assign(made.tensors, tensors);
  const isFolder = (await stat(checkpoint)).isDirectory();
  const globalSize = await trainedSize(source.path);
  return {
    ...made,
    name: source.path,
    architecture,
    sha256: source.sha256,
    ...(globalSize !== undefined && { globalSize }),
    results: isFolder ? join(dirname(source.path), EVALUATION_FILE) : `${checkpoint}.${EVALUATION_FILE}`,
    warnings,
  };
}

/** Before anything is started for it. @throws WeightsError where nothing is at the path of a checkpoint */
export async function assertSubject(checkpoint: string): Promise<void> {
  if (checkpoint !== RANDOM) await assertThere(checkpoint, [RANDOM]);
}

function randomSubject(engine: Engine, { preset = DEFAULT_PRESET, arch, seed }: SubjectOptions): Subject {
  const found = Object.hasOwn(METHOD_PRESETS, preset) ? METHOD_PRESETS[preset] : undefined;
  if (found === undefined) throw new RangeError(`--preset "${preset}": ${expectedOneOf(preset, Object.keys(METHOD_PRESETS))}`);
  const method = methodOptions(found.method as MethodInput);
  const { width, stem } = method;
  const architecture = { arch: arch ?? method.arch, width, stem };
  const size = sizeSchema.safeParse(found);
  return {
    ...createBackbone(engine, architecture, seed),
    name: `random weights of seed ${seed}`,
    architecture,
    warnings: [],
    ...(size.success && { globalSize: size.data.recipe.globalSize }),
  };
}

/** Of a checkpoint's file within a run, which `last` leads to as well. */
async function trainedSize(file: string): Promise<number | undefined> {
  const named = namedCheckpoint(await realpath(dirname(file)));
  const config = named && (await readRunConfig(named.run).catch(() => undefined));
  return sizeSchema.safeParse(config).data?.recipe.globalSize;
}
