/**
 * The built-in recipes, with their options and the views that each makes.
 *
 * Parameters and order: DetCo section 3.4; MoCo v2 for the global view; PIRL for the patch set; SimCLR appendix A; BYOL appendix B; the others
 * at each.
 */
import type {
  ColorJitter,
  GaussianBlur,
  HorizontalFlip,
  ImageView,
  JigsawView,
  Mask,
  MultiCropView,
  Operation,
  PlacedView,
  RandAugment,
  RandomResizedCrop,
  Recipe,
  RotationsView,
} from './recipe.js';

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
