import { describe, expect, test } from '@jest/globals';
import type { TrainState } from '#dist/train/checkpoint-state.js';
import { resolveConfig } from '#dist/train/config.js';
import { type ConfigInput, configDigest, type TrainConfig } from '#dist/train/index.js';
import { assertMadeWith, lossOptions } from '#dist/train/loss-options.js';

const shards = ['a.tar'];
const configOf = (given: ConfigInput) => ({ ...resolveConfig({ shards, preset: 'tiny-simclr', ...given }), engine: 'wasm' }) as const;

/** What a checkpoint of these options notes of them, as JSON gives it back. */
function noted(config: TrainConfig): TrainState {
  const state = { format: 2, configDigest: configDigest(config, shards), options: lossOptions(config) };
  return JSON.parse(JSON.stringify(state)) as TrainState;
}

function refusal(config: TrainConfig, state: TrainState): string {
  try {
    assertMadeWith(config, shards, { path: 'runs/x', checkpoint: 'runs/x/checkpoints/step-4', state });
  } catch (error) {
    return (error as Error).message;
  }
  return 'none';
}

describe('options that were changed in config.json are named with what they were', () => {
  test.each<[string, ConfigInput, ConfigInput, string]>([
    ['a strength', { recipe: { strength: 0.5 } }, {}, 'recipe.strength is 0.5 and was 1.'],
    ['the strength of before there was a choice', {}, { recipe: { strength: 0.5 } }, 'recipe.strength is 1 and was 0.5.'],
    ['a precision', { precision: 'bf16' }, {}, 'precision is "bf16" and was "fp32".'],
    ['the precision of before there was a choice', {}, { precision: 'tf32' }, 'precision is "fp32" and was "tf32".'],
    ['drafts', { draft: true }, {}, 'draft is true and was none.'],
    ['a device that decodes', { augment: 'device', decode: 'device' }, { augment: 'device' }, 'decode is "device" and was none.'],
    ['drafts of before', { draft: false }, { draft: true }, 'draft is false and was true.'],
    ['one that there was not', { maxPixels: 100 }, {}, 'maxPixels (--max-pixels) is 100 and was none.'],
    ['one that is there no more', {}, { maxPixels: 100 }, 'maxPixels (--max-pixels) is none and was 100.'],
  ])('%s', (_what, is, was, message) => {
    expect(refusal(configOf(is), noted(configOf(was)))).toContain(`step-4 was made with: ${message}`);
  });

  test('and only they, where a checkpoint does not note the precision and the strength of before there was a choice', () => {
    const { precision: _precision, recipe, ...rest } = lossOptions(configOf({}));
    const { strength: _strength, ...drawn } = recipe as { readonly strength: number };
    const state = { ...noted(configOf({})), options: { ...rest, recipe: drawn } };
    expect(refusal(configOf({}), state)).toBe('none');
    expect(refusal(configOf({ draft: false, decode: 'worker' }), state)).toBe('none');
    expect(refusal(configOf({ lr: 1 }), state)).toMatch(/was made with: lr is 1 and was [\d.]+\. Put back/);
  });
});
