/**
 * The classes: every silhouette with every texture, so that neither alone names the class. Nothing else of an image
 * (place, size, turn, colours, background, light) depends on it.
 */
import { Random, streamId } from '../common/random.js';

export const SHAPES = ['disc', 'star', 'ring'] as const;
export const TEXTURES = ['striped', 'checked', 'dotted', 'marbled', 'bricked', 'zigzag', 'ringed', 'meshed'] as const;

export type Shape = (typeof SHAPES)[number];
export type Texture = (typeof TEXTURES)[number];

export interface SynthClass {
  /** Class index, from 0. */
  readonly label: number;
  /** Such as `striped-star`. */
  readonly name: string;
  readonly shape: Shape;
  readonly texture: Texture;
}

export const CLASSES: readonly SynthClass[] = SHAPES.flatMap((shape, i) =>
  TEXTURES.map((texture, j) => ({
    label: i * TEXTURES.length + j,
    name: `${texture}-${shape}`,
    shape,
    texture,
  })),
);

const LABELS = streamId('synth/label');

/**
 * The class of image `index`. Each run of 24 images holds every class once, in an order of its own, so any prefix of a
 * set is balanced to within one image a class and neighbours tell nothing of each other.
 */
export function classAt(seed: number, index: number): SynthClass {
  const block = Math.floor(index / CLASSES.length);
  const order = new Random(seed, block, LABELS).permutation(CLASSES.length);
  return CLASSES[order[index % CLASSES.length] as number] as SynthClass;
}
