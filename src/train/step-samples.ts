/** What a method may know of the images of a batch besides their pixels. */
import type { StepSamples } from '../model/index.js';
import type { Batch } from '../pipeline/batch/batch.js';

type Sampled = Pick<Batch, 'samples' | 'plans'>;

/** @param order of the images as they are staged: the one at each place; undefined where they stay as they come */
export function stepSamples(batch: Sampled, order?: Int32Array): StepSamples {
  const places = order && [...order];
  const ordinals = batch.samples.flatMap(({ ordinal }) => ordinal ?? []);
  const numbered = ordinals.length === batch.samples.length;
  return {
    ...(numbered && { ordinals: Int32Array.from(places ? inOrder(ordinals, places) : ordinals) }),
    get plans() {
      const { plans } = batch;
      return places ? Object.fromEntries(Object.entries(plans).map(([view, pictures]) => [view, inOrder(pictures, places)])) : plans;
    },
  };
}

/** Of each place the values of its image, of which all have equally many. */
function inOrder<T>(values: readonly T[], places: readonly number[]): readonly T[] {
  const each = values.length / places.length;
  return places.flatMap((image) => values.slice(image * each, (image + 1) * each));
}
