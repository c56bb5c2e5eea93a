/** Checks a recipe that came from a file, a flag or another thread. */
import { z } from 'zod';
import { expectedOneOf } from '../../common/nearest.js';
import { quoted } from '../../common/quoted.js';
import type { Recipe } from './recipe.js';
import { MOST_CROPS } from './recipes.js';

/** An object with these entries and no others. */
function entries<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.strictObject(shape, {
    error: ({ code, keys }) =>
      code === 'unrecognized_keys' ? `no such entry; ${expectedOneOf(String(keys[0]), Object.keys(shape))}` : undefined,
  });
}

const side = z.int().min(1).max(2048);
const p = z.number().min(0).max(1);

/** A pair with low <= high. */
function range(low: number, high: number): z.ZodType<readonly [number, number]> {
  const end = z.number().min(low).max(high);
  return z.tuple([end, end]).refine(([from, to]) => from <= to, { error: 'expected [low, high] with low <= high' });
}

const randomResizedCrop = entries({
  op: z.literal('randomResizedCrop'),
  scale: range(1e-6, 1),
  ratio: range(0.01, 100),
});
const centerCrop = entries({
  op: z.literal('centerCrop'),
  fraction: z.number().min(0.01).max(1),
});

// Strengths up to 2 keep blend factors within the kernels' fixed-point range.
const strength = z.number().min(0).max(2);

/** Each share of the picture's area is below all of it: masks lie within a picture. */
const maskShare = range(1e-6, 0.9);

const inPlace = [
  entries({
    op: z.literal('colorJitter'),
    brightness: strength,
    contrast: strength,
    saturation: strength,
    hue: z.number().min(0).max(0.5),
    p,
  }),
  entries({ op: z.literal('grayscale'), p }),
  // Box blurs of the kernels reach a standard deviation of 8 pixels.
  entries({ op: z.literal('gaussianBlur'), sigma: range(0, 8), p }),
  entries({ op: z.literal('horizontalFlip'), p }),
  entries({ op: z.literal('solarize'), threshold: z.int().min(0).max(256), p }),
] as const;
const operation = z.discriminatedUnion('op', [
  ...inPlace,
  entries({
    op: z.literal('randAugment'),
    n: z.int().min(0).max(16),
    magnitude: z.number().min(0).max(10),
    magnitudeStd: z.number().min(0),
    p,
  }),
  entries({ op: z.literal('lab') }),
  entries({ op: z.literal('mask'), scale: maskShare, ratio: range(0.01, 100) }),
]);

/** In the order in which they are applied. */
const operations = z.array(operation).superRefine((chain, { addIssue }) => {
  chain.forEach(({ op }, i) => {
    const later = chain.slice(i + 1).findIndex((next) => op === 'lab' || (op === 'mask' && next.op !== 'mask'));
    if (later === -1) return;
    const wanted = op === 'lab' ? 'nothing after lab, whose bytes are no colours' : 'nothing but masks after mask, whose place would move';
    addIssue({ code: 'custom', path: [i + 1 + later], message: `expected ${wanted}` });
  });
});

const imageView = entries({
  kind: z.literal('image'),
  size: side,
  crop: z.discriminatedUnion('op', [randomResizedCrop, centerCrop]),
  operations,
});
const jigsawView = z
  .strictObject({
    kind: z.literal('jigsaw'),
    patchSize: side,
    cell: side.max(682),
    crop: randomResizedCrop,
    operations,
  })
  .refine((view) => view.patchSize <= view.cell, {
    error: 'expected patchSize <= cell',
    path: ['patchSize'],
  });

const multiCropView = entries({
  kind: z.literal('multicrop'),
  crops: z.int().min(1).max(MOST_CROPS),
  size: side,
  crop: randomResizedCrop,
  operations,
});

const rotationsView = entries({
  kind: z.literal('rotations'),
  size: side,
  crop: randomResizedCrop,
  operations,
});

const placedView = z
  .strictObject({
    kind: z.literal('placed'),
    size: side,
    crop: randomResizedCrop,
    sides: z.tuple([side, side]).refine(([low, high]) => low <= high, { error: 'expected [low, high] with low <= high' }),
    // None that moves pixels: the box would not go with them.
    operations: z.array(z.discriminatedUnion('op', inPlace)),
  })
  .refine(({ sides, size }) => sides[1] <= size, { error: 'expected sides that fit into the view: high <= size', path: ['sides'] });

const recipeSchema: z.ZodType<Recipe> = entries({
  name: z.string(),
  views: z
    .record(z.string(), z.discriminatedUnion('kind', [imageView, jigsawView, multiCropView, rotationsView, placedView]))
    .refine((views) => Object.keys(views).length > 0, { error: 'expected at least one view' }),
});

function at(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((held, key) => (typeof held === 'object' && held !== null ? Reflect.get(held, key) : undefined), value);
}

/**
 * Gives back a checked copy of a recipe.
 *
 * @throws {RangeError} that names the first bad entry, quotes its value and says what was expected
 */
export function validateRecipe(recipe: unknown): Recipe {
  const result = recipeSchema.safeParse(recipe);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  if (issue === undefined) throw new RangeError('recipe is not usable');
  // Of what holds an entry that there is not, only that entry is to be seen.
  const path = issue.code === 'unrecognized_keys' ? [...issue.path, ...issue.keys.slice(0, 1)] : issue.path;
  const where = ['recipe', ...path.map(String)].join('.');
  throw new RangeError(`${where} is ${quoted(at(recipe, path))}: ${issue.message}`);
}
