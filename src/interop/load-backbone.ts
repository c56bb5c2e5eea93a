/**
 * A backbone, from wherever it lies: a run's folder, one of its checkpoints, what `detco import` made, or a file of somebody else. This is
 * how evaluations, exports and `--init` read weights.
 */
import { stat } from 'node:fs/promises';
import { sumOfFile } from '../common/file-sum.js';
import { readSafetensors, type StoredTensor } from '../common/safetensors.js';
import { resNet, type ResNetOptions } from '../model/network/architecture.js';
import { torchShape } from '../model/network/parameters.js';
import { findCheckpoint } from '../train/checkpoint.js';
import { CheckpointError, partFile, readState, verifyFiles } from '../train/checkpoint-state.js';
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
 * @param options.encoder of two that learn together, default `query`
 * @throws WeightsError or CheckpointError, with the path, for what holds no backbone that detco has, or is damaged
 */
export async function loadBackbone(path: string, { encoder = 'query' }: { readonly encoder?: Encoder } = {}): Promise<LoadedBackbone> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isDirectory()) return fromFile(path, encoder);
  const imported = await importedFile(path);
  return imported === undefined ? fromCheckpoint(path, encoder) : fromFile(imported, encoder);
}

async function fromFile(path: string, encoder: Encoder): Promise<LoadedBackbone> {
  await using file = await openFile(path);
  const { architecture, tensors, ...rest } = await readBackbone(file, encoder).catch(about(path));
  const { sha256 } = await sumOfFile(path);
  return { architecture, tensors, source: { path, sha256, encoder, ...rest } };
}

async function fromCheckpoint(path: string, encoder: Encoder): Promise<LoadedBackbone> {
  const place = await findCheckpoint(path);
  if (!place)
    throw new WeightsError(
      `${path} holds no weights: expected a run's folder, one of its checkpoints (checkpoints/step-N), a folder of detco import, or a file`,
      { kind: 'missing' },
    );
  const { folder } = place;
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
  return { architecture, tensors, source };
}
