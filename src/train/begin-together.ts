/** How several ranks begin one run: rank 0 as a process that is alone, the others with what it tells them. */
import { resolve } from 'node:path';
import type { Company } from '../engine/company.js';
import { begin, type Beginning, type TrainOptions } from './beginning.js';
import { optionName } from './flags.js';
import { canonical, flat, quotedOrNone } from './loss-options.js';
import { OptionsError } from './options-error.js';

/** What names of options begin with that a config file holds. */
const FILE = 'file.';

interface Started {
  /** Of this program. */
  readonly version: string;
  readonly options: TrainOptions;
}

/**
 * @throws OptionsError, on all ranks, where one was started otherwise than rank 0; on rank 0 what `begin` throws, of which the others hear
 */
export async function beginTogether(options: TrainOptions, version: string, company: Company): Promise<Beginning> {
  assertAlike(await company.exchange<Started>({ version, options }));
  if (company.rank > 0) return (await company.exchange<Beginning | undefined>(undefined))[0] as Beginning;
  const beginning = await begin(options, company.size);
  await company.exchange(told(beginning));
  return beginning;
}

/** What the other ranks need of a beginning: no folder that is locked, and no tensors. */
function told({ path, past, ...rest }: Beginning): Beginning {
  const beginning = { ...rest, path: resolve(path) };
  if (!past) return beginning;
  const { run: _run, checkpoint, ...known } = past;
  return { ...beginning, past: { ...known, warnings: [], ...(checkpoint && { checkpoint: { ...checkpoint, tensors: {} } }) } };
}

function assertAlike([first, ...others]: readonly Started[]): void {
  if (!first) return;
  for (const [i, other] of others.entries()) {
    const rank = `rank ${i + 1}`;
    if (other.version !== first.version)
      throw new OptionsError(`${rank} is detco ${other.version}, and rank 0 is ${first.version}: install one version everywhere`);
    const [expected, found] = [first, other].map(({ options }) => new Map(flat({ ...options }))) as [
      Map<string, unknown>,
      Map<string, unknown>,
    ];
    const different = [...new Set([...expected.keys(), ...found.keys()])].find(
      (name) => canonical(expected.get(name)) !== canonical(found.get(name)),
    );
    const inFile = different?.startsWith(FILE);
    if (different !== undefined)
      throw new OptionsError(
        `${inFile ? `${optionName(different.slice(FILE.length))} of the config file` : optionName(different)} is ${quotedOrNone(found.get(different))} on ${rank}, and ${quotedOrNone(expected.get(different))} on rank 0: ` +
          'start all ranks with the same options',
      );
  }
}
