/**
 * A backbone, from wherever it lies: a run's folder, one of its checkpoints, what `detco import` made, or a file of somebody else. This is
 * how evaluations, exports and `--init` read weights.
 */
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { codeOf } from '../common/error-code.js';
import { sumOfFile } from '../common/file-sum.js';
import { nearestNames } from '../common/nearest.js';
import { quoted } from '../common/quoted.js';
import { readSafetensors, type StoredTensor } from '../common/safetensors.js';
import { resNet, type ResNetOptions } from '../model/network/architecture.js';
import { torchShape } from '../model/network/parameters.js';
import { findCheckpoint } from '../train/checkpoint.js';
import { CheckpointError, partFile, readState, STATE_FILE, verifyFiles } from '../train/checkpoint-state.js';
import { incompleteFolders, passedOver } from '../train/run-checkpoints.js';
import { readBackbone, type LeftOut } from './foreign-backbone.js';
import { importedFile } from './imported-folder.js';
import { inferArchitecture } from './infer.js';
import { openFile } from './open-file.js';
import type { Encoder } from './state-dict.js';
import { about, WeightsError } from './weights-error.js';

export interface LoadedBackbone {
  readonly architecture: ResNetOptions;
  /** Parameters and running statistics by torchvision's names, float32 in detco's layout (filters HWIO), in the order of `resNet`. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly source: BackboneSource;
  /** What the user is to know of where it was read, such as a later folder of the run that is no complete checkpoint. */
  readonly warnings: readonly string[];
}

/** Where a backbone comes from. */
export interface BackboneSource {
  /** The file that holds it. */
  readonly path: string;
  /** Of that file. */
  readonly sha256: string;
  /** `detco` for a checkpoint, else whose names the file has. */
  readonly form: string;
  /** What stood before the names, and was stripped. */
  readonly prefix: string;
  readonly encoder: Encoder;
  /** Of a checkpoint: its method, and the updates it has had. */
  readonly method?: string;
  readonly step?: number;
  /** Types that were converted to float32. */
  readonly converted: readonly string[];
  readonly leftOut: readonly LeftOut[];
}

/**
 * @param path a run's folder, a checkpoint's, a folder of `detco import`, or a file
 * @param options which encoder, of two that learn together; `query` unless given
 * @throws WeightsError or CheckpointError, with the path, for what holds no backbone that detco has, or is damaged
 */
export async function loadBackbone(path: string, { encoder = 'query' }: { readonly encoder?: Encoder } = {}): Promise<LoadedBackbone> {
  const found = await stat(path).catch(() => undefined);
  if (!found) await assertThere(path);
  if (!found?.isDirectory()) return fromFile(path, encoder);
  const imported = await importedFile(path);
  return imported === undefined ? fromCheckpoint(path, encoder) : fromFile(imported, encoder);
}

const KINDS = "a run's folder, one of its checkpoints (RUN/checkpoints/step-N), a folder of detco import, or a file of weights";

/**
 * @param words what may be given instead of a path
 * @throws WeightsError where nothing is at `path`, with what may be there and what is near
 */
export async function assertThere(path: string, words: readonly string[] = []): Promise<void> {
  const missing = await stat(path).then(
    () => false,
    (error: unknown) => codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR',
  );
  if (!missing) return;
  const folder = dirname(path);
  const beside = nearestNames(basename(path), await readdir(folder).catch(() => []));
  const near = [...nearestNames(path, words), ...beside.map((name) => join(folder, name))];
  const guess = near.length > 0 ? `; did you mean ${near.slice(0, 3).map(quoted).join(' or ')}?` : '';
  throw new WeightsError(`${quoted(path)} is not there: expected ${[KINDS, ...words].join(', or ')}${guess}`, { kind: 'missing' });
}

async function fromFile(path: string, encoder: Encoder): Promise<LoadedBackbone> {
  await using file = await openFile(path);
  const { architecture, tensors, ...rest } = await readBackbone(file, encoder).catch(about(path));
  const { sha256 } = await sumOfFile(path);
  return { architecture, tensors, source: { path, sha256, encoder, ...rest }, warnings: [] };
}

async function fromCheckpoint(path: string, encoder: Encoder): Promise<LoadedBackbone> {
  const place = await findCheckpoint(path);
  if (!place) throw new WeightsError(`${quoted(path)} holds no weights${await incompleteIn(path)}: expected ${KINDS}`, { kind: 'missing' });
  const { folder, run } = place;
  const { state, parts, files } = await readState(folder);
  const part = state.method.encoders[encoder];
  if (part === undefined || !parts.includes(part))
    throw new WeightsError(`${folder} is of ${state.method.name}, which has one encoder: leave --encoder ${encoder} out`);
  const written = files?.[part];
  if (written) await verifyFiles(folder, { [part]: written });
  const file = partFile(folder, part);
  const stored = await readSafetensors(file);
  const architecture = inferArchitecture(new Map([...stored].map(([name, { shape }]) => [name, torchShape(shape)])));
  const { parameters, buffers } = resNet(architecture);
  const tensors = new Map<string, StoredTensor>();
  for (const { name, shape } of [...parameters, ...buffers]) {
    const tensor = stored.get(name);
    if (tensor?.shape.join() !== shape.join()) throw new CheckpointError(`${file} has no "${name}" of shape [${shape.join(', ')}]`);
    tensors.set(name, tensor);
  }
  const heads = [...stored.keys()].filter((name) => !tensors.has(name));
  const others = parts.filter((other) => other !== part);
  const leftOut = [
    { reason: 'heads for the pretext task', keys: heads },
    { reason: 'other parts of the checkpoint', keys: others },
  ].filter(({ keys }) => keys.length > 0);
  const sha256 = written?.sha256 ?? (await sumOfFile(file)).sha256;
  const { step, method } = state;
  const source = { path: file, sha256, form: 'detco', prefix: '', encoder, method: method.name, step, converted: [], leftOut };
  const warnings = run === path ? await passedOver(run, step) : [];
  return { architecture, tensors, source, warnings };
}

/** Of a folder without a checkpoint: what is named as one, and is none. */
async function incompleteIn(folder: string): Promise<string> {
  const [found] = await incompleteFolders(folder);
  return found ? ` (${found.path} has no ${STATE_FILE}: it is no complete checkpoint)` : '';
}
