/**
 * Draws every random parameter of a view before a pixel is touched. The result is plain data: it can be printed,
 * replayed through `execute`, or handed to another device.
 *
 * Distributions follow torchvision (RandomResizedCrop, ColorJitter, RandomGrayscale, RandomHorizontalFlip, RandomSolarize,
 * RandomErasing), MoCo v2 (GaussianBlur) and PIRL (the 3x3 patches).
 */
import { Random } from '../../common/random.js';
import { drawRandAugment, type RandAugmentStep } from './randaugment.js';
import {
  type CenterCrop,
  type ColorJitter,
  type JigsawView,
  type Mask,
  type Operation,
  pictureSide,
  type PlacedView,
  type RandomResizedCrop,
  type View,
  viewPictures,
} from './recipe.js';

/** Names a sample; with a view's name it names the stream of random numbers the view is drawn from. */
export interface SampleStream {
  readonly seed: number;
  /** From 0. */
  readonly epoch: number;
  /** Ordinal of the shard in the shard list. */
  readonly shard: number;
  /** Ordinal of the sample in its shard. */
  readonly index: number;
}

/** Of an image, pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Where the pixels of a view come from: a box of the image, resized to `size` x `size`. */
export interface CropPlan {
  /** The samples that may be used, whole pixels. */
  readonly window: {
    readonly left: number;
    readonly top: number;
    readonly width: number;
    readonly height: number;
  };
  /** Position of the output's corner in the image and source pixels per output pixel. */
  readonly left: number;
  readonly top: number;
  readonly scaleX: number;
  readonly scaleY: number;
  readonly size: number;
}

/** One operation with its parameters, in the conventions of torchvision and PIL. */
export type Step =
  | { readonly op: 'brightness' | 'contrast' | 'saturation'; readonly factor: number }
  /** Turn of the hue circle, -0.5..0.5. */
  | { readonly op: 'hue'; readonly shift: number }
  | { readonly op: 'grayscale' | 'horizontalFlip' | 'lab' }
  /** What a method hides, whole pixels of the picture. */
  | { readonly op: 'mask'; readonly left: number; readonly top: number; readonly width: number; readonly height: number }
  /** Standard deviation, pixels. */
  | { readonly op: 'gaussianBlur'; readonly sigma: number }
  | RandAugmentStep;

/** Nine patches: output patch i is cut from cell `order[i]` (row-major) at `offsets[order[i]]`. */
export interface JigsawPlan {
  readonly patchSize: number;
  readonly cell: number;
  readonly order: readonly number[];
  /** x and y inside the cell, one a cell, pixels. */
  readonly offsets: readonly (readonly [number, number])[];
}

/** Part of a picture, whole pixels. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Where a crop lies in a picture of `canvas` x `canvas` pixels. */
export interface Placed extends Box {
  readonly canvas: number;
}

/** How one picture of a view is made. */
export interface PicturePlan {
  readonly crop: CropPlan;
  readonly steps: readonly Step[];
  readonly jigsaw?: JigsawPlan;
  /** How many times the picture is given, each time a quarter turn counter-clockwise further. */
  readonly turns?: 4;
  /** Where the crop lies in the picture before any operation. */
  readonly placed?: Placed;
}

function wholeCrop(left: number, top: number, width: number, height: number, size: number): CropPlan {
  return {
    window: { left, top, width, height },
    left,
    top,
    scaleX: width / size,
    scaleY: height / size,
    size,
  };
}

/** torchvision's RandomResizedCrop.get_params: ten tries, then the largest central crop within the ratios. */
export function drawCrop(crop: RandomResizedCrop, width: number, height: number, size: number, random: Random): CropPlan {
  const [lowRatio, highRatio] = crop.ratio;
  for (let attempt = 0; attempt < 10; attempt++) {
    const area = width * height * random.between(...crop.scale);
    const ratio = Math.exp(random.between(Math.log(lowRatio), Math.log(highRatio)));
    const w = Math.round(Math.sqrt(area * ratio));
    const h = Math.round(Math.sqrt(area / ratio));
    if (w > 0 && h > 0 && w <= width && h <= height) {
      const top = random.below(height - h + 1);
      return wholeCrop(random.below(width - w + 1), top, w, h, size);
    }
  }
  const w = Math.min(width, Math.max(1, Math.round(height * highRatio)));
  const h = Math.min(height, Math.max(1, Math.round(width / lowRatio)));
  return wholeCrop(Math.floor((width - w) / 2), Math.floor((height - h) / 2), w, h, size);
}

/** Python's round, which torchvision's CenterCrop uses: halves go to the even neighbour. */
function roundHalfEven(x: number): number {
  const below = Math.floor(x);
  return x - below === 0.5 ? below + (below % 2) : Math.round(x);
}

/** torchvision's Resize of the shorter side to size / fraction, then CenterCrop(size), as one crop. */
export function centreCrop(crop: CenterCrop, width: number, height: number, size: number): CropPlan {
  const shorter = Math.round(size / crop.fraction);
  const longer = Math.trunc((shorter * Math.max(width, height)) / Math.min(width, height));
  const scaleX = width / (width <= height ? shorter : longer);
  const scaleY = height / (width <= height ? longer : shorter);
  const middle = (side: number): number => roundHalfEven((side - size) / 2);
  return {
    window: { left: 0, top: 0, width, height },
    left: middle(width <= height ? shorter : longer) * scaleX,
    top: middle(width <= height ? longer : shorter) * scaleY,
    scaleX,
    scaleY,
    size,
  };
}

/** torchvision's ColorJitter.get_params: factors from [max(0, 1 - x), 1 + x], hue from [-x, x], in random order. */
function drawColorJitter(jitter: ColorJitter, random: Random): Step[] {
  const order = random.permutation(4);
  const factor = (strength: number): number => random.between(Math.max(0, 1 - strength), 1 + strength);
  const steps: Step[] = [
    { op: 'brightness', factor: factor(jitter.brightness) },
    { op: 'contrast', factor: factor(jitter.contrast) },
    { op: 'saturation', factor: factor(jitter.saturation) },
    { op: 'hue', shift: random.between(-jitter.hue, jitter.hue) },
  ];
  return Array.from(order, (i) => steps[i]).filter((step) => step !== undefined);
}

/**
 * torchvision's RandomErasing.get_params, with sides below the picture's. Where ten tries give none, which a share of nearly all of it may
 * do, the last is cut to fit: a method has something to hide in every picture.
 */
function drawMask({ scale, ratio }: Mask, size: number, random: Random): Step {
  const draw = (): { readonly width: number; readonly height: number } => {
    const area = size * size * random.between(...scale);
    const aspect = Math.exp(random.between(Math.log(ratio[0]), Math.log(ratio[1])));
    return { width: Math.round(Math.sqrt(area / aspect)), height: Math.round(Math.sqrt(area * aspect)) };
  };
  const fits = (side: number): boolean => side > 0 && side < size;
  let drawn = draw();
  for (let attempt = 1; attempt < 10 && !(fits(drawn.width) && fits(drawn.height)); attempt++) drawn = draw();
  const cut = (side: number): number => Math.min(Math.max(side, 1), Math.max(1, size - 1));
  const [width, height] = [cut(drawn.width), cut(drawn.height)];
  const top = random.below(size - height + 1);
  return { op: 'mask', left: random.below(size - width + 1), top, width, height };
}

function drawOperation(operation: Operation, size: number, random: Random): readonly Step[] {
  if (operation.op === 'randAugment') return drawRandAugment(operation, random);
  if (operation.op === 'mask') return [drawMask(operation, size, random)];
  if (operation.op === 'lab') return [{ op: 'lab' }];
  if (random.uniform() >= operation.p) return [];
  switch (operation.op) {
    case 'colorJitter':
      return drawColorJitter(operation, random);
    case 'gaussianBlur':
      return [{ op: 'gaussianBlur', sigma: random.between(...operation.sigma) }];
    case 'solarize':
      return [{ op: 'solarize', threshold: operation.threshold }];
    case 'grayscale':
    case 'horizontalFlip':
      return [{ op: operation.op }];
  }
}

/** PIRL: an independent random crop in each cell, and a random order. */
function drawJigsaw({ patchSize, cell }: JigsawView, random: Random): JigsawPlan {
  const positions = cell - patchSize + 1;
  const offsets = Array.from({ length: 9 }, () => [random.below(positions), random.below(positions)] as const);
  return { patchSize, cell, order: Array.from(random.permutation(9)), offsets };
}

/**
 * Where a crop is put, as InsLoc's code draws it: its longer side fits into the longer of two drawn sides, its shorter side into the shorter.
 *
 * @returns the crop on a canvas that continues it around that box
 */
function placeCrop(
  crop: CropPlan,
  { size, sides: [low, high] }: PlacedView,
  random: Random,
): Required<Pick<PicturePlan, 'crop' | 'placed'>> {
  const { window } = crop;
  const drawn = [0, 0].map(() => low + random.below(high - low + 1));
  const times = Math.min(
    Math.max(...drawn) / Math.max(window.width, window.height),
    Math.min(...drawn) / Math.min(window.width, window.height),
  );
  const fit = (side: number): number => Math.max(1, Math.round(side * times));
  const [width, height] = [fit(window.width), fit(window.height)];
  const [left, top] = [random.below(size - width + 1), random.below(size - height + 1)];
  const [scaleX, scaleY] = [window.width / width, window.height / height];
  const canvas = { ...crop, left: window.left - left * scaleX, top: window.top - top * scaleY, scaleX, scaleY };
  return { crop: canvas, placed: { canvas: size, left, top, width, height } };
}

/** Draws one picture of a view from an image of `width` x `height` pixels. */
export function drawPicture(view: View, width: number, height: number, random: Random): PicturePlan {
  const size = pictureSide(view);
  const crop =
    view.crop.op === 'centerCrop' ? centreCrop(view.crop, width, height, size) : drawCrop(view.crop, width, height, size, random);
  const placed = view.kind === 'placed' ? placeCrop(crop, view, random) : undefined;
  const steps = view.operations.flatMap((operation) => drawOperation(operation, size, random));
  if (placed) return { ...placed, steps };
  if (view.kind === 'jigsaw') return { crop, steps, jigsaw: drawJigsaw(view, random) };
  return view.kind === 'rotations' ? { crop, steps, turns: 4 } : { crop, steps };
}

/** Draws every picture of a sample's view, one after the other; `stream` is the `streamId` of the view's name. */
export function drawSample(
  view: View,
  stream: number,
  { width, height }: Size,
  { seed, epoch, shard, index }: SampleStream,
): readonly PicturePlan[] {
  const random = new Random(seed, epoch, shard, index, stream);
  return Array.from({ length: viewPictures(view) }, () => drawPicture(view, width, height, random));
}
