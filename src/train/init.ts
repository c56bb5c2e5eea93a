/** `--init`: a run whose backbone starts from weights that are there, and whose heads and queues start at random. */
import { loadBackbone, type LoadedBackbone, WeightsError } from '../interop/index.js';
import { assign, type Method } from '../model/index.js';
import { CheckpointError } from './checkpoint-state.js';
import type { ConfigInput, TrainConfig } from './config-schema.js';
import { optionName } from './flags.js';
import { OptionsError } from './options-error.js';

/** What `config.json` holds of the weights that a run began with. */
export interface InitFact {
  /** Of the file. */
  readonly path: string;
  readonly sha256: string;
}

/**
 * The weights that a run begins with; undefined where it has none of its own.
 *
 * @param begun what the run began with before, where it begins once more
 * @throws OptionsError for weights that cannot be used, or are not those of before
 */
export async function loadInit({ init, method }: TrainConfig, begun?: InitFact): Promise<LoadedBackbone | undefined> {
  if (init === undefined) return undefined;
  const option = `${optionName('init')} ${init}`;
  const backbone = await loadBackbone(init).catch((error: unknown) => {
    const ours = error instanceof WeightsError || error instanceof CheckpointError;
    if (!ours) throw error;
    const moved = begun
      ? `; the run began with it and has no checkpoint yet: bring it back, or give ${optionName('init')} where it lies now`
      : '';
    throw new OptionsError(`${optionName('init')}: ${error.message}${moved}`, { cause: error });
  });
  const { architecture, source } = backbone;
  const wrong = (['arch', 'width', 'stem'] as const).filter((name) => architecture[name] !== method[name]);
  if (wrong.length > 0) {
    const [are, is] = [architecture, method].map((one) => wrong.map((name) => `${name} ${one[name]}`).join(', '));
    throw new OptionsError(
      `${option}: the weights are of ${are}, and the run has ${is}; set method.${wrong[0]} as they have it, or give others`,
    );
  }
  if (begun !== undefined) assertSame(init, source, begun);
  return backbone;
}

/**
 * What a caller gives a run that goes on, without the weights that it began with, wherever they lie by now.
 *
 * @throws OptionsError for other weights
 */
export async function withoutSameInit<Given extends Pick<ConfigInput, 'init'>>(given: Given, begun: InitFact | undefined): Promise<Given> {
  const { init, ...rest } = given;
  if (init === undefined || begun === undefined) return given;
  // The run needs them no more: what cannot be read is left to be told by its path.
  const backbone = await loadBackbone(init).catch(() => undefined);
  if (backbone === undefined) return given;
  assertSame(init, backbone.source, begun);
  return rest as Given;
}

function assertSame(init: string, { sha256 }: Pick<InitFact, 'sha256'>, begun: InitFact): void {
  if (sha256 === begun.sha256) return;
  throw new OptionsError(
    `${optionName('init')} ${init} is not what the run began with: its SHA-256 is ${sha256}, and was ${begun.sha256}; bring it back, or start another run`,
  );
}

/** Puts a backbone into every network of a method: a momentum encoder starts as the copy that it is. */
export function startFrom({ sections }: Pick<Method, 'sections'>, { tensors }: Pick<LoadedBackbone, 'tensors'>): void {
  for (const variables of Object.values(sections)) if (variables.has('conv1.weight')) assign(variables, tensors);
}
