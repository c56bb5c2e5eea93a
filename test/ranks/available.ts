/** Tests of several ranks, which need the addon of the engine torch with Gloo in it. */
import { describe, test } from '@jest/globals';
import { RANKS_REMEDY } from '#dist/engine/torch/commands.js';
import { loadNative } from '#dist/engine/torch/native.js';
import { whereAvailable } from '../engine/available.js';

/** As `whereAvailable`. */
export async function whereRanks(): ReturnType<typeof whereAvailable> {
  const torch = await whereAvailable('torch');
  if (torch.note !== '' || loadNative().info().rankTransports.includes('gloo')) return torch;
  return { describe: describe.skip, test: test.skip, note: ` (skipped: no Gloo; ${RANKS_REMEDY.gloo})` };
}
