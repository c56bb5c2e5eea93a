/** Brings a backbone of somebody else into a folder that detco reads. */
import { mkdir } from 'node:fs/promises';
import { quoted } from '../common/quoted.js';
import { realPlace } from '../common/real-place.js';
import type { ResNetOptions } from '../model/network/architecture.js';
import { alone } from '../train/alone.js';
import { findCheckpoint } from '../train/checkpoint.js';
import { type WriteOptions, writeBackbone } from './export-backbone.js';
import { weightsFile, writeOrigin } from './imported-folder.js';
import { type BackboneSource, loadBackbone } from './load-backbone.js';
import type { Encoder } from './state-dict.js';

/** What `importBackbone` read and wrote. */
export interface ImportReport {
  /** Of the weights in the folder. */
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
  /** Tensors that were loaded. */
  readonly loaded: number;
  readonly architecture: ResNetOptions;
  readonly source: BackboneSource;
  readonly warnings: readonly string[];
}

/**
 * @param path of a file of weights, or whatever else `loadBackbone` takes
 * @param folder where `backbone.safetensors` and `backbone.json` go; those of an earlier import are replaced, and of several at once the last one's stay
 * @throws WeightsError or CheckpointError for what cannot be loaded: nothing is written then
 * @throws RangeError for the folder of a run, whose own weights would be hidden, or one where the weights would take the place of `path`
 */
export async function importBackbone(
  path: string,
  folder: string,
  options: { readonly encoder?: Encoder } & WriteOptions = {},
): Promise<ImportReport> {
  if (await findCheckpoint(folder))
    throw new RangeError(`${quoted(folder)} holds a run or a checkpoint: expected a folder of its own; choose another`);
  if ((await realPlace(path)) === (await realPlace(weightsFile(folder))))
    throw new RangeError(`${quoted(folder)} is where ${quoted(path)} lies, which would be replaced: choose another folder`);
  const backbone = await loadBackbone(path, options);
  const { architecture, source, tensors, warnings } = backbone;
  await mkdir(folder, { recursive: true });
  // The two files are of one import, whatever others go on.
  return alone(weightsFile(folder), async () => {
    const written = await writeBackbone(backbone, weightsFile(folder), 'safetensors', options);
    const report = { path: written.path, bytes: written.bytes, sha256: written.sha256, loaded: tensors.size, architecture, source };
    await writeOrigin(folder, report);
    return { ...report, warnings };
  });
}
