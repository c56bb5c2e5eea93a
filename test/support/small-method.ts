/** Any method of the registry made small, and batches for it as the pipeline makes them, but for pixels that are noise. */
import type { Random } from '#dist/common/random.js';
import { METHOD_NAMES, METHOD_PRESETS, methodKind, type MethodInput, methodOptions, type MethodOptions } from '#dist/model/index.js';
import { type RecipeOptions, recipeOptionsSchema } from '#dist/pipeline/augment/recipe-options.js';
import { type Views, viewShape } from '#dist/pipeline/augment/recipe.js';
import { drawnPictures } from '#dist/pipeline/batch/plans.js';
import type { Batch } from '#dist/pipeline/index.js';
import { trainingRecipe } from '#dist/train/training-recipe.js';

/** The preset of each method that a small machine trains in minutes. */
export const TINY_PRESETS = METHOD_NAMES.map((method) => {
  const [preset] = Object.entries(METHOD_PRESETS).find(([name, { method: of }]) => of.name === method && name.startsWith('tiny')) ?? [];
  return { method, preset };
});

/** A method's small form: its tiny preset, and options that make other networks or keep other state than that. */
export interface SmallForm {
  readonly form: string;
  readonly method: string;
  readonly preset: string;
  readonly options: Readonly<Record<string, unknown>>;
}

/** Each method as its tiny preset has it, and forms with parts that no such preset has: a queue for each level, a constant for each loss. */
export const SMALL_FORMS: readonly SmallForm[] = [
  ...TINY_PRESETS.map(({ method, preset = '' }) => ({ form: method, method, preset, options: {} })),
  { form: 'insloc with a pyramid', method: 'insloc', preset: 'tiny-insloc', options: { form: 'fpn', fpnChannels: 8 } },
  { form: 'pirl with NCE', method: 'pirl', preset: 'tiny-pirl', options: { loss: 'nce' } },
];

/** Of these options those that the method has. */
export function known(method: string, options: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { shape } = methodKind(method).schema;
  return Object.fromEntries(Object.entries(options).filter(([name]) => name in shape));
}

/** Options of a narrow network, and of data of so many images where the method keeps something for each. */
export function narrowOptions(method: string, options: Readonly<Record<string, unknown>>, images: number): MethodOptions {
  const kind = methodKind(method);
  const narrow = methodOptions({ ...known(method, options), name: method } as MethodInput);
  return kind.forImages?.(narrow, images) ?? narrow;
}

/** The recipe of the method's tiny preset with whole images of this side, and all smaller ones of half of it; pixels. */
export function smallRecipe(preset: string, side: number): Record<string, unknown> {
  const { name } = METHOD_PRESETS[preset]?.recipe ?? {};
  const schema = recipeOptionsSchema.options.find(({ shape }) => shape.name.value === name);
  const sizes = Object.keys(schema?.shape ?? {}).filter((option) => option.endsWith('Size'));
  return { name, ...Object.fromEntries(sizes.map((option) => [option, option === 'globalSize' ? side : side / 2])) };
}

/** Noise in the views that the method takes, of images of 48 x 40 pixels. */
export class NoiseBatches {
  readonly #views: Views;
  readonly #random: Random;
  readonly #images: number;

  /** @param images of the data, whose ordinals the batches have in turn */
  constructor(preset: string, method: MethodOptions, { side, images }: { readonly side: number; readonly images: number }, random: Random) {
    const recipe = recipeOptionsSchema.parse(smallRecipe(preset, side)) as RecipeOptions;
    this.#views = trainingRecipe({ recipe, method }).views;
    this.#random = random;
    this.#images = images;
  }

  /** @param step the batch's own, from 0 */
  batch(step: number, size: number): Batch {
    const ordinals = Array.from({ length: size }, (_, i) => (step * size + i) % this.#images);
    const records = ordinals.map((index) => ({ image: { width: 48, height: 40 }, shard: 0, index }));
    const views = Object.entries(this.#views).map(([name, view]) => {
      const shape = [size, ...viewShape(view)];
      const bytes = shape.reduce((product, extent) => product * extent, 1);
      return [name, { shape, data: Uint8Array.from({ length: bytes }, () => Math.floor(256 * this.#random.uniform())) }] as const;
    });
    return {
      epoch: 0,
      step,
      size,
      views: Object.fromEntries(views),
      samples: ordinals.map((ordinal) => ({ shard: 'none.tar', index: ordinal, ordinal, key: `${ordinal}` })),
      plans: drawnPictures({ name: 'noise', views: this.#views }, { seed: 1, epoch: 0 }, records),
      state: { epoch: 0, step: step + 1, epochStart: 0, lanes: [{ taken: 0, good: 0 }] },
      retain: () => {},
      release: () => {},
    };
  }
}
