/** Where an export must not go: it would take the place of weights that detco reads. */
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { quoted } from '../common/quoted.js';
import { realPlace } from '../common/real-place.js';
import { findCheckpoint } from '../train/checkpoint.js';
import { lastCheckpoint } from '../train/run-checkpoints.js';
import { isImported } from './imported-folder.js';

/**
 * @param source the file or folder that is exported
 * @returns why an export may not go to `path`, and what to do; undefined when it may
 */
export async function placeProblem(path: string, source: string): Promise<string | undefined> {
  const place = await realPlace(path);
  if (place === (await realPlace(source))) return 'this is what is exported; choose another file';
  const owner = await ownerOf(dirname(place));
  return owner && `it lies in ${quoted(owner.folder)}, ${owner.kind}: expected a file outside of it; choose another place`;
}

/** Checkpoints and imports hold files alone; a run has folders, too. */
async function ownerOf(folder: string): Promise<{ readonly folder: string; readonly kind: string } | undefined> {
  const isFolder = (await stat(folder).catch(() => undefined))?.isDirectory() ?? false;
  if (isFolder && (await isImported(folder))) return { folder, kind: 'a folder of detco import' };
  if (isFolder && (await findCheckpoint(folder))) return { folder, kind: 'which holds a run or a checkpoint' };
  for (let run = dirname(folder); run !== dirname(run); run = dirname(run))
    if (await lastCheckpoint(run).catch(() => undefined)) return { folder: run, kind: 'which holds a run' };
  return undefined;
}
