/**
 * Recipes say which views a batch holds and how each is made. They are plain data: they cross thread boundaries,
 * go into `config.json`, and the pipeline knows nothing about the method that asked for them.
 *
 * Parameters and order: DetCo section 3.4; MoCo v2 for the global view; PIRL for the patch set; SimCLR appendix A; BYOL appendix B; SwAV's
 * public code.
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

export interface GlobalSize {
  /** Side of a global view, pixels. */
  readonly globalSize?: number;
}

export interface DetCoOptions extends GlobalSize {
  /** Side of a patch, pixels. */
  readonly patchSize?: number;
  /** Whether global views get RandAugment too. */
  readonly randAugment?: boolean;
}

export interface PirlOptions extends GlobalSize {
  /** Side of a patch, pixels. */
  readonly patchSize?: number;
}

export interface SimClrOptions extends GlobalSize {
  /** Of the colour distortion, 0..2.5: brightness, contrast and saturation by 0.8 times that, hue by 0.2 times. */
  readonly strength?: number;
}

export interface SwavOptions extends GlobalSize {
  /** Side of a local crop, pixels. */
  readonly localSize?: number;
  /** Local crops of an image. */
  readonly crops?: number;
}

/** The usual sides, pixels: of a global view, of a patch (PIRL), and of a local crop (SwAV). */
export const GLOBAL_SIZE = 224;
export const PATCH_SIZE = 64;
export const LOCAL_SIZE = 96;
/** Of SwAV: crops of most of an image, and of a small part. */
const GLOBAL_CROPS = 2;
export const LOCAL_CROPS = 6;

/** Sides of the views of the built-in recipes, pixels. Their blur grows with them, to the standard deviation of 8 that the kernels reach. */
export const MOST_GLOBAL_SIDE = 896;
export const MOST_PATCH_SIDE = 256;
/** Crops of a view. */
export const MOST_CROPS = 64;

const RATIO = [3 / 4, 4 / 3] as const;
const FLIP: HorizontalFlip = { op: 'horizontalFlip', p: 0.5 };

/** Blur of MoCo v2 at its sizes; a smaller view gets it in proportion, else little would be left of its texture. */
function blur(scale: number, p = 0.5): GaussianBlur {
  return { op: 'gaussianBlur', sigma: [0.1 * scale, 2 * scale], p };
}

/** MoCo v2's photometric chain, in order, for a view `scale` times the usual size. */
function mocoV2Photometric(scale: number): readonly Exclude<Operation, RandAugment>[] {
  return [
    { op: 'colorJitter', brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1, p: 0.8 },
    { op: 'grayscale', p: 0.2 },
    blur(scale),
  ];
}

/** That and a flip. */
function mocoV2Operations(scale: number): readonly Operation[] {
  return [...mocoV2Photometric(scale), FLIP];
}

/** SimCLR's flip, colour distortion and blur, in order, for a view `scale` times the usual size. */
function simclrOperations(scale: number, strength = 1): readonly Operation[] {
  const [light, hue] = [0.8 * strength, 0.2 * strength];
  return [
    FLIP,
    { op: 'colorJitter', brightness: light, contrast: light, saturation: light, hue, p: 0.8 },
    { op: 'grayscale', p: 0.2 },
    blur(scale),
  ];
}

/** @param least share of the image's area that a crop has at the least */
function imageView(size: number, least: number, operations: readonly Operation[]): ImageView {
  return { kind: 'image', size, crop: { op: 'randomResizedCrop', scale: [least, 1], ratio: RATIO }, operations };
}

/** @param scale share of the image's area that a crop has, [low, high] */
function cropsView(crops: number, size: number, scale: readonly [number, number], operations: readonly Operation[]): MultiCropView {
  return { kind: 'multicrop', crops, size, crop: { op: 'randomResizedCrop', scale, ratio: RATIO }, operations };
}

function jigsawView(patchSize: number, operations = mocoV2Operations(patchSize / PATCH_SIZE)): JigsawView {
  // 85 = 255 / 3: PIRL cuts 64-pixel patches from cells of 85; other sizes keep that proportion.
  const cell = Math.round((patchSize * 85) / PATCH_SIZE);
  return {
    kind: 'jigsaw',
    patchSize,
    cell,
    crop: { op: 'randomResizedCrop', scale: [0.6, 1], ratio: RATIO },
    operations,
  };
}

function pair(name: string, view: ImageView): Recipe<GlobalViews> {
  return { name, views: { globalQ: view, globalK: view } };
}

/** Two views of each whole image: for the query and for the key encoder. */
export type GlobalViews = { readonly globalQ: ImageView; readonly globalK: ImageView };
/** Two sets of nine shuffled patches of each image. */
export type PatchViews = { readonly patchesQ: JigsawView; readonly patchesK: JigsawView };
/** Two crops, each in a box, and what they are pasted onto: for the query and for the key encoder. */
export type PastedViews = { readonly [Name in 'foregroundQ' | 'foregroundK']: PlacedView } & {
  readonly [Name in 'backgroundQ' | 'backgroundK']: ImageView;
};
/** A whole image and its nine shuffled patches. */
export type ImageAndPatches = { readonly image: ImageView; readonly patches: JigsawView };
/** Two views that the method treats alike. */
export type TwoViews = { readonly view1: ImageView; readonly view2: ImageView };
/** Crops of most of an image, and smaller ones of small parts. */
export type CropViews = { readonly global: MultiCropView; readonly local: MultiCropView };

/** The built-in recipes; each call returns plain data that may be edited. */
export const recipes = {
  /**
   * Two global views and two patch sets (DetCo section 3.4). RandAugment on the global views is what the paper's
   * second version describes; `randAugment: false` is "plain DetCo" of the first.
   */
  detco({ globalSize = GLOBAL_SIZE, patchSize = PATCH_SIZE, randAugment = true }: DetCoOptions = {}): Recipe<GlobalViews & PatchViews> {
    const strong: RandAugment = { op: 'randAugment', n: 2, magnitude: 10, magnitudeStd: 0.5, p: 0.5 };
    const operations = mocoV2Operations(globalSize / GLOBAL_SIZE);
    const image = imageView(globalSize, 0.2, randAugment ? [...operations, strong] : operations);
    const patches = jigsawView(patchSize);
    return { name: randAugment ? 'detco' : 'detco-plain', views: { globalQ: image, globalK: image, patchesQ: patches, patchesK: patches } };
  },
  /** Two global views (MoCo v2 section 3; main_moco.py --aug-plus). */
  mocoV2({ globalSize = GLOBAL_SIZE }: GlobalSize = {}): Recipe<GlobalViews> {
    return pair('mocoV2', imageView(globalSize, 0.2, mocoV2Operations(globalSize / GLOBAL_SIZE)));
  },
  /** Two global views with InstDis's augmentation (main_moco.py without --aug-plus). */
  mocoV1({ globalSize = GLOBAL_SIZE }: GlobalSize = {}): Recipe<GlobalViews> {
    const jitter: ColorJitter = { op: 'colorJitter', brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.4, p: 1 };
    return pair('mocoV1', imageView(globalSize, 0.2, [{ op: 'grayscale', p: 0.2 }, jitter, FLIP]));
  },
  /** Two views drawn alike, `view1` and `view2` (SimCLR appendix A). */
  simclr({ globalSize = GLOBAL_SIZE, strength = 1 }: SimClrOptions = {}): Recipe<TwoViews> {
    const view = imageView(globalSize, 0.08, simclrOperations(globalSize / GLOBAL_SIZE, strength));
    return { name: 'simclr', views: { view1: view, view2: view } };
  },
  /**
   * Two views drawn unlike each other: `view1` is always blurred, `view2` seldom, and sometimes solarized (BYOL appendix B, table 6;
   * order of its public code, deepmind-research/byol/utils/augmentations.py).
   */
  byol({ globalSize = GLOBAL_SIZE }: GlobalSize = {}): Recipe<TwoViews> {
    const scale = globalSize / GLOBAL_SIZE;
    const colour: readonly Operation[] = [
      FLIP,
      { op: 'colorJitter', brightness: 0.4, contrast: 0.4, saturation: 0.2, hue: 0.1, p: 0.8 },
      { op: 'grayscale', p: 0.2 },
    ];
    const view1 = imageView(globalSize, 0.08, [...colour, blur(scale, 1)]);
    const view2 = imageView(globalSize, 0.08, [...colour, blur(scale, 0.1), { op: 'solarize', threshold: 128, p: 0.2 }]);
    return { name: 'byol', views: { view1, view2 } };
  },
  /**
   * A whole image, and the nine shuffled patches of another crop of it, coloured alike (PIRL section 3.3; VISSL,
   * pirl_jigsaw_4node_resnet50.yaml, without its random photometric operations).
   */
  pirl({ globalSize = GLOBAL_SIZE, patchSize = PATCH_SIZE }: PirlOptions = {}): Recipe<ImageAndPatches> {
    const jitter: ColorJitter = { op: 'colorJitter', brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.2, p: 1 };
    const operations: readonly Operation[] = [jitter, { op: 'grayscale', p: 0.2 }, FLIP];
    return { name: 'pirl', views: { image: imageView(globalSize, 0.08, operations), patches: jigsawView(patchSize, operations) } };
  },
  /**
   * Nine shuffled patches of an image, 64 pixels wide where a whole one would have 224, and in that proportion. Most are grey, so that the
   * colours at which a lens parts light do not tell where a patch was (OpenSelfSup's relative_loc, VISSL's jigsaw).
   */
  jigsaw({ globalSize = GLOBAL_SIZE }: GlobalSize = {}): Recipe<{ readonly patches: JigsawView }> {
    const patchSize = Math.max(1, Math.round((globalSize * PATCH_SIZE) / GLOBAL_SIZE));
    return { name: 'jigsaw', views: { patches: jigsawView(patchSize, [FLIP, { op: 'grayscale', p: 0.66 }]) } };
  },
  /** Four quarter turns of a crop of 8 % to all of the area, perhaps mirrored (OpenSelfSup's rotation_pred). */
  rotation({ globalSize = GLOBAL_SIZE }: GlobalSize = {}): Recipe<{ readonly rotations: RotationsView }> {
    const crop: RandomResizedCrop = { op: 'randomResizedCrop', scale: [0.08, 1], ratio: RATIO };
    return { name: 'rotation', views: { rotations: { kind: 'rotations', size: globalSize, crop, operations: [FLIP] } } };
  },
  /**
   * Crops of an image in boxes, and the whole image squeezed to a square for others to be pasted onto (InsLoc section 4.1; sizes of its code,
   * configs/FPN/insloc_fpn_200ep.py, which are of 256 pixels).
   */
  insloc({ globalSize = GLOBAL_SIZE }: GlobalSize = {}): Recipe<PastedViews> {
    const scale = globalSize / 256;
    const side = (pixels: number): number => Math.max(1, Math.floor(scale * pixels));
    const operations = [...mocoV2Photometric(scale), FLIP];
    const crop = (scale: readonly [number, number], ratio: readonly [number, number]) =>
      ({ op: 'randomResizedCrop', scale, ratio }) as const;
    const foreground: PlacedView = {
      kind: 'placed',
      size: globalSize,
      crop: crop([0.2, 1], [1 / 2, 2]),
      sides: [side(128), side(254)],
      operations,
    };
    // All of the area in any shape is the whole image.
    const background: ImageView = { kind: 'image', size: globalSize, crop: crop([1, 1], [0.01, 100]), operations };
    return {
      name: 'insloc',
      views: { foregroundQ: foreground, foregroundK: foreground, backgroundQ: background, backgroundK: background },
    };
  },
  /**
   * Multi-crop: two crops of 14 % to all of the image's area, and smaller ones of 5 % to 14 %, all coloured as SimCLR's views and blurred by
   * as many pixels (SwAV section 3.3; facebookresearch/swav, src/multicropdataset.py and the scripts of pre-training).
   */
  swav({ globalSize = GLOBAL_SIZE, localSize = LOCAL_SIZE, crops = LOCAL_CROPS }: SwavOptions = {}): Recipe<CropViews> {
    const operations = simclrOperations(globalSize / GLOBAL_SIZE);
    const global = cropsView(GLOBAL_CROPS, globalSize, [0.14, 1], operations);
    return { name: 'swav', views: { global, local: cropsView(crops, localSize, [0.05, 0.14], operations) } };
  },
  /** One view in CIELAB, named `lab`, of an image that is cropped and flipped: what colours does a grey picture have (Zhang et al. 2016). */
  colorization({ globalSize = GLOBAL_SIZE }: GlobalSize = {}): Recipe<{ readonly lab: ImageView }> {
    return { name: 'colorization', views: { lab: imageView(globalSize, 0.2, [FLIP, { op: 'lab' }]) } };
  },
  /** One view named `masked`, with four blocks to be hidden: up to a quarter of the picture in all (Pathak et al. 2016, section 3.3). */
  inpainting({ globalSize = GLOBAL_SIZE }: GlobalSize = {}): Recipe<{ readonly masked: ImageView }> {
    const block: Mask = { op: 'mask', scale: [1 / 32, 1 / 16], ratio: [1 / 2, 2] };
    return { name: 'inpainting', views: { masked: imageView(globalSize, 0.2, [FLIP, block, block, block, block]) } };
  },
  /** What a linear classifier is trained on, one view named `image`: a crop of 8 % to all of the area, and a flip (MoCo's main_lincls.py). */
  linear({ globalSize = GLOBAL_SIZE }: GlobalSize = {}): Recipe<{ readonly image: ImageView }> {
    return { name: 'linear', views: { image: imageView(globalSize, 0.08, [FLIP]) } };
  },
  /** One centred view without augmentation, named `image`: Resize 256 and CenterCrop 224, in proportion. */
  evaluation({ globalSize = GLOBAL_SIZE }: GlobalSize = {}): Recipe<{ readonly image: ImageView }> {
    return {
      name: 'evaluation',
      views: { image: { kind: 'image', size: globalSize, crop: { op: 'centerCrop', fraction: 224 / 256 }, operations: [] } },
    };
  },
} as const;

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
