/**
 * What is in a picture, drawn from (seed, index) as plain data. The class settles the silhouette and the texture;
 * everything else comes from a stream that does not know it.
 */
import { Random, streamId } from '../common/random.js';
import { classAt, type SynthClass } from './classes.js';
import { mix, oklch, type Colour } from './colour.js';
import type { Fractal } from './noise.js';
import { MUTED, VIVID, type Variety } from './variety.js';

/** The labelled thing: the largest in the picture, and always wholly inside it. */
export interface SceneObject {
  /** Centre, pixels. */
  readonly x: number;
  readonly y: number;
  /** Pixels to the unit of the silhouette's distance field. */
  readonly radius: number;
  /** Turn of the silhouette, radians. */
  readonly angle: number;
  /** Stretch along the silhouette's own x axis; 1/aspect along y. */
  readonly aspect: number;
  readonly tones: readonly [Colour, Colour];
  readonly hue: number;
  /** Period of the texture, radii. */
  readonly period: number;
  readonly textureAngle: number;
  /** Where the texture begins, periods. */
  readonly phase: readonly [number, number];
  readonly salt: number;
  /** Width of the rounded edge, radii. */
  readonly bevel: number;
  readonly gloss: number;
}

/** An unlabelled plain thing behind the object: an ellipse or a bar, sharp or out of focus. */
export interface Distractor {
  readonly x: number;
  readonly y: number;
  readonly halfWidth: number;
  readonly halfHeight: number;
  readonly angle: number;
  readonly round: boolean;
  /** Width of its edge, pixels. */
  readonly blur: number;
  readonly colour: Colour;
}

export interface Background {
  readonly colours: readonly [Colour, Colour];
  readonly hue: number;
  /** Direction of the gradient, radians. */
  readonly angle: number;
  /** How much of the mixture is noise, the rest being the gradient. */
  readonly roughness: number;
  readonly fractal: Fractal;
  /** Whether the gradient is as sharp as that of a floor and a wall. */
  readonly horizon: boolean;
  readonly distractors: readonly Distractor[];
}

export interface Light {
  /** Where it comes from in the plane of the picture, radians, and how far above it, radians. */
  readonly azimuth: number;
  readonly elevation: number;
  readonly ambient: number;
  /** Exposure and white balance at once. */
  readonly gain: Colour;
  /** Share of the light lost across the picture, away from the lamp. */
  readonly falloff: number;
  /** Share of the light lost in the corners. */
  readonly vignette: number;
  readonly shadow: number;
}

/** What fills a photograph between its edges. */
export interface Detail {
  /** Relief of the surfaces, as a share of their light. */
  readonly grain: number;
  readonly fractal: Fractal;
  /** Where the relief is sharp and where it is lost: photographs are busy in places. */
  readonly focus: Fractal;
  /** Sensor noise, sRGB levels. */
  readonly noise: number;
  readonly salt: number;
}

export interface Scene {
  readonly index: number;
  readonly class: SynthClass;
  readonly width: number;
  readonly height: number;
  readonly object: SceneObject;
  readonly background: Background;
  readonly light: Light;
  readonly detail: Detail;
}

export interface SceneOptions {
  readonly seed: number;
  /** Pixels. Without it 128x128, or with `photo` a size drawn as ImageNet's are. */
  readonly size?: readonly [width: number, height: number];
  /** The size and the entropy of ImageNet's photographs. */
  readonly photo: boolean;
}

export const DEFAULT_SIZE = [128, 128] as const;

/** Sizes of ImageNet's photographs and how common they are in rough figures; the mean is near 480x400. */
const PHOTO_SIZES: readonly (readonly [width: number, height: number, share: number])[] = [
  [500, 375, 0.42],
  [500, 333, 0.16],
  [375, 500, 0.12],
  [333, 500, 0.08],
  [500, 400, 0.05],
  [500, 500, 0.05],
  [400, 300, 0.05],
  [640, 480, 0.05],
  [800, 600, 0.02],
];

const SCENE = streamId('synth/scene');

/** The scene of image `index`: the same for the same options, whatever else is drawn. */
export function drawScene({ seed, size, photo }: SceneOptions, index: number): Scene {
  const random = new Random(seed, index, SCENE);
  const variety = photo ? VIVID : MUTED;
  const [width, height] = size ?? (photo ? photoSize(random) : DEFAULT_SIZE);
  return {
    index,
    class: classAt(seed, index),
    width,
    height,
    object: drawObject(random, variety, width, height),
    background: drawBackground(random, variety, width, height),
    light: drawLight(random, variety),
    detail: drawDetail(random, variety, width, height),
  };
}

function photoSize(random: Random): readonly [number, number] {
  let left = random.uniform();
  for (const [width, height, share] of PHOTO_SIZES) {
    if ((left -= share) < 0) return [width, height];
  }
  return [500, 375];
}

function drawObject(random: Random, { tones: { light, dark, chroma, gloss } }: Variety, width: number, height: number): SceneObject {
  // Silhouettes end at 1.12 radii and the stretch adds 8 %: 0.38 x 1.12 x 1.08 leaves 4 % of the side to move in.
  const radius = Math.min(width, height) * random.between(0.22, 0.36);
  const reach = radius * 1.12 * 1.08 + 1;
  const hue = random.uniform();
  // The tones differ in lightness: the texture must survive the loss of colour.
  const tones: [Colour, Colour] = [
    oklch(random.between(...light), random.between(...chroma), hue),
    oklch(random.between(...dark), random.between(...chroma), hue + random.between(-0.25, 0.25)),
  ];
  if (random.uniform() < 0.5) tones.reverse();
  return {
    x: random.between(reach, width - reach),
    y: random.between(reach, height - reach),
    radius,
    angle: random.between(0, 2 * Math.PI),
    aspect: Math.exp(random.between(-0.075, 0.075)),
    tones,
    hue,
    period: random.between(0.52, 0.74),
    textureAngle: random.between(0, 2 * Math.PI),
    phase: [random.uniform(), random.uniform()],
    salt: random.uint32(),
    bevel: random.between(0.15, 0.4),
    gloss: random.between(...gloss),
  };
}

function drawBackground(random: Random, { background, distractors }: Variety, width: number, height: number): Background {
  const side = Math.min(width, height);
  const hue = random.uniform();
  const lightness = random.between(...background.lightness);
  const other = lightness + random.between(-background.contrast, background.contrast);
  const first = oklch(lightness, random.between(...background.chroma), hue);
  const second = oklch(Math.min(0.92, Math.max(0.2, other)), random.between(...background.chroma), hue + random.between(-0.2, 0.2));
  const cell = side * random.between(0.25, 0.6);
  return {
    colours: [first, second],
    hue,
    angle: random.between(0, 2 * Math.PI),
    roughness: random.between(0.2, 0.8),
    fractal: {
      cell,
      octaves: octavesDownTo(2, cell),
      gain: random.between(0.4, 0.6),
      stretch: Math.exp(random.between(0, 1.2)),
      salt: random.uint32(),
    },
    horizon: random.uniform() < background.horizon,
    distractors: Array.from({ length: Math.floor(random.between(...distractors.count)) }, () => {
      const halfWidth = side * random.between(0.04, 0.2);
      const colour = oklch(random.between(...distractors.lightness), random.between(...distractors.chroma), random.uniform());
      return {
        x: random.between(0, width),
        y: random.between(0, height),
        halfWidth,
        halfHeight: halfWidth * random.between(0.25, 1),
        angle: random.between(0, Math.PI),
        round: random.uniform() < 0.5,
        blur: 1 + side * random.uniform() ** 2 * 0.06,
        colour: mix(first, colour, random.between(0.35, 0.9)),
      };
    }),
  };
}

function drawLight(random: Random, { light }: Variety): Light {
  const exposure = Math.exp(random.between(...light.exposure));
  const warmth = random.between(-light.warmth, light.warmth);
  return {
    azimuth: random.between(0, 2 * Math.PI),
    elevation: random.between(0.6, 1.2),
    ambient: random.between(0.35, 0.6),
    gain: [exposure * (1 + warmth), exposure, exposure * (1 - warmth)],
    falloff: random.between(...light.falloff),
    vignette: random.between(...light.vignette),
    shadow: random.between(0.2, 0.6),
  };
}

function drawDetail(random: Random, { detail }: Variety, width: number, height: number): Detail {
  const cell = random.between(5, 12);
  const focus = Math.min(width, height) * random.between(0.3, 0.6);
  return {
    grain: random.between(...detail.grain),
    // 1.2 pixels is what a sharp lens leaves.
    fractal: {
      cell,
      octaves: octavesDownTo(1.2, cell),
      gain: random.between(0.8, 1.1),
      stretch: Math.exp(random.between(0, 0.5)),
      salt: random.uint32(),
    },
    focus: { cell: focus, octaves: 2, gain: 0.5, stretch: 1, salt: random.uint32() },
    noise: random.between(...detail.noise),
    salt: random.uint32(),
  };
}

/** Octaves of a fractal whose lattice starts at `cell` pixels and is halved while it stays above `finest`. */
function octavesDownTo(finest: number, cell: number): number {
  return Math.max(1, Math.floor(Math.log2(cell / finest)) + 1);
}
