/** What options of a run are when several ranks share it, and what has to hold of them. */
import { counted } from '../common/counted.js';
import type { Company } from '../engine/company.js';
import { MOST_LANES } from '../pipeline/run-options.js';
import type { TrainConfig } from './config-schema.js';
import { optionName } from './flags.js';
import { OptionsError } from './options-error.js';

/**
 * The options of a new run with those that several ranks need, where they were not chosen: a batch norm group is within a rank, or of
 * all of them, and each rank serves as many lanes.
 *
 * @param chosen names of options, and of those of the method
 */
export function forRanks(config: TrainConfig, ranks: number, chosen: ReadonlySet<string>): TrainConfig {
  if (ranks === 1) return config;
  const { method, divide = 'samples', groupRows = 'interleaved' } = config;
  const fits = fitRanks(method, ranks) || chosen.has('bnGroups');
  const lanes = chosen.has('lanes') ? config.lanes : Math.ceil(config.lanes / ranks) * ranks;
  return { ...config, lanes, divide, groupRows, method: fits ? method : { ...method, bnGroups: ranks } };
}

/** @throws OptionsError for options with which so many ranks cannot share a run */
export function checkRanks(config: TrainConfig, { ranks, resumed }: { readonly ranks: number; readonly resumed: boolean }): void {
  const { batch, lanes, divide, groupRows, method } = config;
  if (ranks === 1) return;
  const refuse = (option: string, value: unknown, remedy: string) => {
    throw new OptionsError(`${optionName(option)} ${String(value)} with ${ranks} ranks: ${remedy}`);
  };
  const near = Math.max(1, Math.round(batch / ranks)) * ranks;
  if (batch % ranks !== 0) refuse('batch', batch, `each makes an equal share of it; use --batch ${near} or another number of ranks`);
  if (lanes % ranks !== 0)
    refuse(
      'lanes',
      lanes,
      `each serves an equal share of them; use a multiple of ${ranks} up to ${MOST_LANES}, or another number of ranks`,
    );
  if (divide !== 'samples')
    refuse(
      'divide',
      divide ?? 'shards',
      'they share an epoch by samples; a run that was begun with --divide samples can go on with several',
    );
  if (resumed) return;
  if (!fitRanks(method, ranks))
    refuse('method.bnGroups', method.bnGroups, `a group is within a rank, or of all of them; use a multiple of ${ranks}, or 1`);
  if (groupRows === 'contiguous')
    refuse('groupRows', groupRows, 'each normalises the images that it reads, which are interleaved; leave it out');
}

function fitRanks({ bnGroups }: TrainConfig['method'], ranks: number): boolean {
  return bnGroups === 1 || bnGroups % ranks === 0;
}

/** `16 ranks on 2 machines: 16 images each, 16 batch norm groups`. */
export function ranksInWords({ size, machines }: Pick<Company, 'size' | 'machines'>, { batch, method: { bnGroups } }: TrainConfig): string {
  const groups = bnGroups === 1 ? 'batch norm over all of them' : counted(bnGroups, 'batch norm group');
  return `${counted(size, 'rank')} on ${counted(machines, 'machine')}: ${counted(batch / size, 'image')} each, ${groups}`;
}

/** What a run that goes on with so many ranks is to hear of its batch norm groups. */
export function otherGroups({ method, groupRows }: TrainConfig, ranks: number): string[] {
  const { bnGroups } = method;
  if (ranks === 1 || bnGroups === 1 || (bnGroups % ranks === 0 && groupRows === 'interleaved')) return [];
  const were = `${bnGroups} ${groupRows ?? 'contiguous'} batch norm groups`;
  const are = bnGroups % ranks === 0 ? `${bnGroups} interleaved ones` : `${ranks}, one a rank,`;
  return [`the run has ${were}, and goes on with ${are} on ${ranks} ranks: the order of its images is the same, its losses are not`];
}
