/**
 * `state.json` of a checkpoint: what a run needs to continue besides tensors, and what the files beside it must hold.
 *
 * The sums find a disk's and a copy's errors, and `sha256sum` gives the same without detco: SHA-256 of 300 MB takes 0.17 s on a core with
 * SHA instructions (AMD EPYC, Node 20; CRC-32 0.06 s), less than it takes to write them. state.json holds its own sum, since it alone is
 * replaced after its checkpoint was made: one file is replaced at once, two are not.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Encoders, HostState } from '../model/index.js';
import type { PipelineState } from '../pipeline/batch/batch.js';
import { pipelineStateSchema } from '../pipeline/options.js';
import type { Options } from '../common/options.js';
import { codeOf } from '../common/error-code.js';
import { type FileSum, sumOfFile } from '../common/file-sum.js';
import { CHECKPOINT_FORMAT, FIRST_FORMAT, FIRST_METHOD } from './format.js';
import { replaceFile } from './replace-file.js';

/** The files of a checkpoint of the first format. */
const FIRST_PARTS: readonly string[] = ['query', 'key', 'optimizer', 'queues'];
/** Of checkpoints that do not name them. */
const FIRST_ENCODERS = { query: 'query', key: 'key' };

export const STATE_FILE = 'state.json';

const count = z.int().nonnegative();
const sum = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 hexadecimal digits');
const fileSchema = z.strictObject({ bytes: count, sha256: sum });

/** `state.json`: everything a run needs to continue that is not a tensor. */
export interface TrainState {
  /** Of the file it was read from. */
  readonly format: typeof CHECKPOINT_FORMAT | typeof FIRST_FORMAT;
  /** Updates done. */
  readonly step: number;
  /** The epoch whose end comes next, from 0. */
  readonly epoch: number;
  /** The last step whose state was evaluated; absent before the first evaluation. */
  readonly evaluatedStep?: number;
  /** Absent before the first batch. */
  readonly pipeline?: PipelineState;
  /** The method's name, its host state, and which of its sections hold a backbone. */
  readonly method: { readonly name: string; readonly host: HostState; readonly encoders: Encoders };
  /** Seeds the plan, the views, the weights and what a method draws for a step, which is keyed by (seed, step). */
  readonly seed: number;
  readonly engine: string;
  /** Digest of every option that the loss sequence depends on. */
  readonly configDigest: string;
  /** Those options, but for the shards; absent in checkpoints of before they were noted. */
  readonly options?: Options;
  readonly versions: Readonly<Record<string, string>>;
}

/** By the names of the files without their ending: the method's sections, and `optimizer`. */
export type PartSums = Readonly<Record<string, FileSum>>;

const common = {
  step: count,
  epoch: count,
  evaluatedStep: count.optional(),
  pipeline: pipelineStateSchema.optional(),
  seed: count.max(0xffffffff),
  engine: z.string(),
  configDigest: z.string(),
  options: z.record(z.string(), z.unknown()).optional(),
  versions: z.record(z.string(), z.string()),
  /** Of this object without it, as `JSON.stringify` writes it. */
  sha256: sum,
};

const storedSchema = z
  .discriminatedUnion('format', [
    z.strictObject({
      format: z.literal(CHECKPOINT_FORMAT),
      ...common,
      method: z.strictObject({
        name: z.string(),
        host: z.record(z.string(), z.number()),
        encoders: z.strictObject({ query: z.string(), key: z.string().optional() }).default(FIRST_ENCODERS),
      }),
      files: z.record(z.string().regex(/^\w+$/), fileSchema),
    }),
    z.strictObject({
      format: z.literal(FIRST_FORMAT),
      ...common,
      pointer: count,
      /** Absent, as `sha256`, where a checkpoint was made without sums. */
      files: z.strictObject({ query: fileSchema, key: fileSchema, optimizer: fileSchema, queues: fileSchema }).optional(),
      sha256: sum.optional(),
    }),
  ])
  .superRefine(({ step, epoch, evaluatedStep = 0, pipeline, files, sha256 }, context) => {
    const problem = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
    if (step > 0 && pipeline === undefined) problem('pipeline', `expected where the data stand after step ${step}`);
    if (pipeline && pipeline.step !== step) problem('pipeline', `expected the state after step ${step}`);
    if (pipeline && pipeline.epochStart > step) problem('pipeline', `expected an epochStart of at most step ${step}`);
    // By samples it is known of the last batch of an epoch that it is that, before the run has ended the epoch.
    const over = pipeline?.epochStart === step ? 1 : 0;
    if (pipeline && pipeline.epoch > epoch + over) problem('epoch', `expected ${pipeline.epoch} or more, as pipeline.epoch`);
    if (evaluatedStep > step) problem('evaluatedStep', `expected at most step ${step}`);
    if ((files === undefined) !== (sha256 === undefined)) problem('sha256', 'expected together with "files"');
  });

/** A checkpoint that cannot be used; the message names the file. */
export class CheckpointError extends Error {
  override name = 'CheckpointError';
}

function fileProblem(error: unknown): string {
  const code = codeOf(error);
  const reason = error instanceof Error ? error.message : String(error);
  return code === 'ENOENT' ? 'is missing' : `${code === undefined ? 'is damaged' : 'cannot be read'} (${reason})`;
}

/** The file that holds a part's tensors. */
export function partFile(folder: string, part: string): string {
  return join(folder, `${part}.safetensors`);
}

function digest(value: object): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}

/** Writes, or replaces, the state of the checkpoint in `folder`. */
export async function writeState(folder: string, state: TrainState, files: PartSums): Promise<void> {
  const stored = { ...state, files };
  await replaceFile(join(folder, STATE_FILE), JSON.stringify({ ...stored, sha256: digest(stored) }, undefined, 2));
}

/**
 * Reads the state of the checkpoint in `folder`.
 *
 * @returns the state, the names of its parts, and the sums of their files unless it was made before there were any
 * @throws CheckpointError when there is none, or it is not what was written
 */
export async function readState(
  folder: string,
): Promise<{ readonly state: TrainState; readonly parts: readonly string[]; readonly files?: PartSums }> {
  const path = join(folder, STATE_FILE);
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    throw new CheckpointError(`${path} ${fileProblem(error)}`, { cause: error });
  }
  const { format } = Object(value) as { format?: unknown };
  if (Number.isInteger(format) && format !== CHECKPOINT_FORMAT && format !== FIRST_FORMAT)
    throw new CheckpointError(`${path} has format ${String(format)}: this version of detco reads formats up to ${CHECKPOINT_FORMAT}`);
  const parsed = storedSchema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const keys = issue?.path ?? [];
    const found = keys.reduce<unknown>((outer, key) => (Object(outer) as Record<PropertyKey, unknown>)[key], value);
    throw new CheckpointError(
      `${path} is damaged: ${[keys.join('.'), JSON.stringify(found)].filter(Boolean).join(' ')}: ${issue?.message ?? 'invalid'}`,
    );
  }
  const { sha256, ...stored } = value as Record<string, unknown>;
  if (sha256 !== undefined && digest(stored) !== sha256)
    throw new CheckpointError(`${path} is damaged: it is not what detco wrote, whose SHA-256 is ${String(sha256)}`);
  const { files, sha256: _sum, ...state } = withMethod(parsed.data);
  // JSON has no property that is there and undefined.
  return { state: state as TrainState, parts: files ? Object.keys(files) : FIRST_PARTS, ...(files && { files }) };
}

/** The state of the first format has the pointer of DetCo's queues where others have a method. */
function withMethod(
  stored: z.output<typeof storedSchema>,
): TrainState & { readonly files?: PartSums | undefined; readonly sha256?: string | undefined } {
  if (stored.format === CHECKPOINT_FORMAT) return stored as TrainState & { readonly files: PartSums; readonly sha256: string };
  const { pointer, ...rest } = stored;
  return { ...rest, method: { name: FIRST_METHOD, host: { pointer }, encoders: FIRST_ENCODERS } } as TrainState & {
    readonly files?: PartSums;
  };
}

async function sumOf(path: string): Promise<FileSum> {
  return sumOfFile(path).catch((error: unknown) => {
    throw new CheckpointError(`${path} ${fileProblem(error)}`, { cause: error });
  });
}

/** The sums of the tensor files of these parts, as they lie there. */
export async function sumFiles(folder: string, parts: readonly string[]): Promise<PartSums> {
  const sums: Record<string, FileSum> = {};
  for (const part of parts) sums[part] = await sumOf(partFile(folder, part));
  return sums;
}

/** Throws a CheckpointError for the first tensor file that is not what its sum says. */
export async function verifyFiles(folder: string, files: PartSums): Promise<void> {
  for (const [part, written] of Object.entries(files)) {
    const path = partFile(folder, part);
    const { bytes, sha256 } = await sumOf(path);
    if (bytes !== written.bytes) throw new CheckpointError(`${path} is damaged: it has ${bytes} bytes, ${written.bytes} were written`);
    if (sha256 !== written.sha256)
      throw new CheckpointError(`${path} is damaged: its SHA-256 is ${sha256}, that of what was written ${written.sha256}`);
  }
}
