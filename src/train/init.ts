/** `--init`: a run whose backbone starts from weights that are there, and whose heads and queues start at random. */
import { loadBackbone, type LoadedBackbone, WeightsError } from '../interop/index.js';
import { assign, type Method } from '../model/index.js';
import { CheckpointError } from './checkpoint-state.js';
import type { TrainConfig } from './config-schema.js';
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
    throw ours ? new OptionsError(`${optionName('init')}: ${error.message}`, { cause: error }) : error;
  });
  const { architecture, source } = backbone;
  const wrong = (['arch', 'width', 'stem'] as const).filter((name) => architecture[name] !== method[name]);
  if (wrong.length > 0) {
    const [are, is] = [architecture, method].map((one) => wrong.map((name) => `${name} ${one[name]}`).join(', '));
    throw new OptionsError(
      `${option}: the weights are of ${are}, and the run has ${is}; set method.${wrong[0]} as they have it, or give others`,
    );
  }
  if (begun !== undefined && begun.sha256 !== source.sha256)
    throw new OptionsError(
      `${option} is not what the run began with: its SHA-256 is ${source.sha256}, and was ${begun.sha256}; bring it back, or start another run`,
    );
  return backbone;
}

/** Puts a backbone into every network of a method: a momentum encoder starts as the copy that it is. */
export function startFrom({ sections }: Pick<Method, 'sections'>, { tensors }: Pick<LoadedBackbone, 'tensors'>): void {
  for (const variables of Object.values(sections)) if (variables.has('conv1.weight')) assign(variables, tensors);
}
