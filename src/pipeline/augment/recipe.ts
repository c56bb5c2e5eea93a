/**
 * Recipes say which views a batch holds and how each is made. They are plain data: they cross thread boundaries,
 * go into `config.json`, and the pipeline knows nothing about the method that asked for them.
 */

/** torchvision's RandomResizedCrop: bilinear with antialias, as PIL resizes. */
export interface RandomResizedCrop {
  readonly op: 'randomResizedCrop';
  /** Share of the image's area, [low, high]. */
  readonly scale: readonly [number, number];
  /** Aspect ratio, width over height, drawn log-uniformly from [low, high]. */
  readonly ratio: readonly [number, number];
}

/** torchvision's `Resize(resize)` of the shorter side and `CenterCrop(size)`: the evaluation view. */
export interface CenterCrop {
  readonly op: 'centerCrop';
  /** The crop's share of the resized shorter side; 224/256 in the usual protocol. */
  readonly fraction: number;
}

/** torchvision's ColorJitter, its four operations in random order, applied with probability `p`. */
export interface ColorJitter {
  readonly op: 'colorJitter';
  readonly brightness: number;
  readonly contrast: number;
  readonly saturation: number;
  readonly hue: number;
  readonly p: number;
}

export interface Grayscale {
  readonly op: 'grayscale';
  readonly p: number;
}

/** PIL's ImageFilter.GaussianBlur with a radius (standard deviation, pixels) drawn from `sigma`. */
export interface GaussianBlur {
  readonly op: 'gaussianBlur';
  readonly sigma: readonly [number, number];
  readonly p: number;
}

export interface HorizontalFlip {
  readonly op: 'horizontalFlip';
  readonly p: number;
}

/** torchvision's RandomSolarize: levels from `threshold` (0..256) on are inverted. */
export interface Solarize {
  readonly op: 'solarize';
  readonly threshold: number;
  readonly p: number;
}

/** timm-style RandAugment: `n` of 15 operations with replacement, each applied with probability `p`. */
export interface RandAugment {
  readonly op: 'randAugment';
  readonly n: number;
  /** Mean magnitude, out of 10. */
  readonly magnitude: number;
  /** Standard deviation of the magnitude. */
  readonly magnitudeStd: number;
  readonly p: number;
}

/**
 * L x 255/100, a + 128 and b + 128 of CIELAB (white D65) in the place of red, green and blue. The last operation of a view, which is then of
 * the kind 'lab' for methods.
 */
export interface Lab {
  readonly op: 'lab';
}

/**
 * A rectangle that a method is to hide, drawn as torchvision's RandomErasing does. No pixel changes: what is hidden is what the method has to
 * tell. After it come none but more masks.
 */
export interface Mask {
  readonly op: 'mask';
  /** Share of the picture's area, [low, high]. */
  readonly scale: readonly [number, number];
  /** Height over width, drawn log-uniformly from [low, high]. */
  readonly ratio: readonly [number, number];
}

export type Crop = RandomResizedCrop | CenterCrop;
/** What is done to a crop; each operation draws its own parameters. */
export type Operation = ColorJitter | Grayscale | GaussianBlur | HorizontalFlip | Solarize | RandAugment | Lab | Mask;

/** One image of `size` x `size` pixels: [size, size, 3] uint8 a sample. */
export interface ImageView {
  readonly kind: 'image';
  readonly size: number;
  readonly crop: Crop;
  /** Applied in this order after the crop. */
  readonly operations: readonly Operation[];
}

/**
 * Nine shuffled patches: [9, patchSize, patchSize, 3] uint8 a sample. The crop is made at 3 * cell pixels, the
 * operations run on that whole canvas, then each cell yields one random patch and the nine are permuted.
 */
export interface JigsawView {
  readonly kind: 'jigsaw';
  readonly patchSize: number;
  /** Side of one of the 3x3 cells; 85 for 64-pixel patches (PIRL). */
  readonly cell: number;
  readonly crop: RandomResizedCrop;
  readonly operations: readonly Operation[];
}

/**
 * Several crops of one size, each a draw of its own (multi-crop of SwAV and DINO): [crops, size, size, 3] uint8 a sample.
 */
export interface MultiCropView {
  readonly kind: 'multicrop';
  readonly crops: number;
  readonly size: number;
  readonly crop: RandomResizedCrop;
  /** Applied in this order after each crop. */
  readonly operations: readonly Operation[];
}

/**
 * One image in its four quarter turns (Gidaris et al. 2018): [4, size, size, 3] uint8 a sample. They are turns of the same crop, after all
 * operations, by 0, 90, 180 and 270 degrees counter-clockwise.
 */
export interface RotationsView {
  readonly kind: 'rotations';
  readonly size: number;
  readonly crop: RandomResizedCrop;
  /** Applied in this order after the crop. */
  readonly operations: readonly Operation[];
}

/**
 * A crop in a box of its own on a canvas, to be pasted onto another picture there (InsLoc section 3.1): [size, size, 3] uint8 a sample. Around
 * the box the edge of the crop goes on; where it lies is in the plans of a batch (`placed`).
 */
export interface PlacedView {
  readonly kind: 'placed';
  readonly size: number;
  readonly crop: RandomResizedCrop;
  /** Two whole numbers drawn from [low, high], pixels: the box has the shape of the crop, and is as large as fits into them, lying or standing. */
  readonly sides: readonly [number, number];
  /** Applied in this order to the canvas; a flip takes the box with it. */
  readonly operations: readonly Exclude<Operation, RandAugment>[];
}

/** What is made of each image, and its shape in a batch. */
export type View = ImageView | JigsawView | MultiCropView | RotationsView | PlacedView;

/** The views of a recipe, by name. */
export type Views = Readonly<Record<string, View>>;

/** `Named` says which views there are, for who reads them by name. */
export interface Recipe<Named extends Views = Views> {
  readonly name: string;
  readonly views: Named;
}

/** Shape of a view for one sample, NHWC without N. */
export function viewShape(view: View): readonly number[] {
  switch (view.kind) {
    case 'image':
    case 'placed':
      return [view.size, view.size, 3];
    case 'jigsaw':
      return [9, view.patchSize, view.patchSize, 3];
    case 'multicrop':
      return [view.crops, view.size, view.size, 3];
    case 'rotations':
      return [4, view.size, view.size, 3];
  }
}

/** `viewShape` of a batch, as a type; of a view of unknown kind some numbers. */
export type BatchShape<V extends View> = View extends V ? readonly number[] : ShapeOfKind<V>;

type ShapeOfKind<V extends View> = V extends ImageView | PlacedView
  ? readonly [samples: number, height: number, width: number, channels: 3]
  : V extends JigsawView
    ? readonly [samples: number, patches: 9, height: number, width: number, channels: 3]
    : V extends RotationsView
      ? readonly [samples: number, turns: 4, height: number, width: number, channels: 3]
      : readonly [samples: number, crops: number, height: number, width: number, channels: 3];

/** Pictures of a view that are drawn for one sample, each with a crop of its own. A jigsaw view is one until it is cut, and turns are of one. */
export function viewPictures(view: View): number {
  return view.kind === 'multicrop' ? view.crops : 1;
}

/** Side of such a picture, pixels. */
export function pictureSide(view: View): number {
  return view.kind === 'jigsaw' ? 3 * view.cell : view.size;
}

/** Bytes of a view for one sample. */
export function viewBytes(view: View): number {
  return viewShape(view).reduce((product, side) => product * side, 1);
}
