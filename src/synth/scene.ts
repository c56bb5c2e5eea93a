/**
 * What is in a picture, drawn from (seed, index) as plain data. The class settles the silhouette and the texture;
 * everything else comes from a stream that does not know it.
 */
import { Random, streamId } from '../pipeline/plan/random.js';
import { classAt, type SynthClass } from './classes.js';
import { mix, oklch, type Colour } from './colour.js';
import type { Fractal } from './noise.js';

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
  /** 0 is a smooth gradient; 1 a horizon, as of a floor and a wall. */
  readonly horizon: number;
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
  const [width, height] = size ?? (photo ? photoSize(random) : DEFAULT_SIZE);
  return {
    index,
    class: classAt(seed, index),
    width,
    height,
    object: drawObject(random, width, height),
    background: drawBackground(random, width, height, photo),
    light: drawLight(random),
    detail: drawDetail(random, width, height, photo),
  };
}

function photoSize(random: Random): readonly [number, number] {
  let left = random.uniform();
  for (const [width, height, share] of PHOTO_SIZES) {
    if ((left -= share) < 0) return [width, height];
  }
  return [500, 375];
}

function drawObject(random: Random, width: number, height: number): SceneObject {
  // Silhouettes end before 1.2 radii and the stretch adds 8 %: 0.36 x 1.2 x 1.08 stays under half the side.
  const radius = Math.min(width, height) * random.between(0.3, 0.36);
  const reach = radius * 1.2 * 1.08 + 1;
  const hue = random.uniform();
  // The tones differ in lightness by 0.34 at least: the texture must survive the loss of colour.
  const light = random.between(0.62, 0.95);
  const dark = random.between(0.18, light - 0.34);
  const tones: [Colour, Colour] = [
    oklch(light, random.between(0.01, 0.05), hue),
    oklch(dark, random.between(0.01, 0.05), hue + random.between(-0.25, 0.25)),
  ];
  if (random.uniform() < 0.5) tones.reverse();
  return {
    x: random.between(reach, width - reach),
    y: random.between(reach, height - reach),
    radius,
    angle: random.between(-0.4, 0.4),
    aspect: Math.exp(random.between(-0.08, 0.08)),
    tones,
    hue,
    period: random.between(0.46, 0.66),
    textureAngle: random.between(-0.4, 0.4),
    phase: [random.uniform(), random.uniform()],
    salt: random.uint32(),
    bevel: random.between(0.15, 0.4),
    gloss: random.between(0, 0.35),
  };
}

function drawBackground(random: Random, width: number, height: number, photo: boolean): Background {
  const side = Math.min(width, height);
  const hue = random.uniform();
  const lightness = random.between(0.3, 0.85);
  const first = oklch(lightness, random.between(0, 0.03), hue);
  const second = oklch(
    Math.min(0.92, Math.max(0.2, lightness + random.between(-0.12, 0.12))),
    random.between(0, 0.03),
    hue + random.between(-0.2, 0.2),
  );
  const distractors = Array.from({ length: photo ? 5 + random.below(9) : 1 + random.below(2) }, (): Distractor => {
    const halfWidth = side * random.between(0.04, 0.2);
    return {
      x: random.between(0, width),
      y: random.between(0, height),
      halfWidth,
      halfHeight: halfWidth * random.between(0.25, 1),
      angle: random.between(0, Math.PI),
      round: random.uniform() < 0.5,
      blur: 1 + side * random.uniform() ** 2 * 0.06,
      colour: mix(first, oklch(random.between(0.2, 0.92), random.between(0, 0.04), random.uniform()), random.between(0.15, 0.4)),
    };
  });
  return {
    colours: [first, second],
    hue,
    angle: random.between(0, 2 * Math.PI),
    roughness: random.between(0.2, 0.8),
    fractal: {
      cell: side * random.between(0.25, 0.6),
      octaves: photo ? 7 : 5,
      gain: random.between(0.4, 0.6),
      stretch: Math.exp(random.between(0, 1.2)),
      salt: random.uint32(),
    },
    horizon: random.uniform() < 0.4 ? 1 : 0,
    distractors,
  };
}

function drawLight(random: Random): Light {
  const exposure = Math.exp(random.between(-0.45, 0.3));
  const warmth = random.between(-0.1, 0.1);
  return {
    azimuth: random.between(0, 2 * Math.PI),
    elevation: random.between(0.6, 1.2),
    ambient: random.between(0.35, 0.6),
    gain: [exposure * (1 + warmth), exposure, exposure * (1 - warmth)],
    falloff: random.between(0, 0.5),
    vignette: random.between(0, 0.45),
    shadow: random.between(0.2, 0.6),
  };
}

function drawDetail(random: Random, width: number, height: number, photo: boolean): Detail {
  const side = Math.min(width, height);
  const cell = photo ? random.between(5, 12) : side * random.between(0.04, 0.1);
  return {
    grain: photo ? Math.exp(random.between(-1, 0.3)) : random.between(0.05, 0.15),
    fractal: {
      cell,
      // Down to an octave of 1.2 pixels or more: what a sharp lens leaves.
      octaves: Math.max(1, Math.floor(Math.log2(cell / 1.2)) + 1),
      gain: random.between(0.8, 1.1),
      stretch: Math.exp(random.between(0, 0.5)),
      salt: random.uint32(),
    },
    focus: {
      cell: side * random.between(0.3, 0.6),
      octaves: 2,
      gain: 0.5,
      stretch: 1,
      salt: random.uint32(),
    },
    noise: photo ? random.between(2.5, 9) : random.between(0.5, 2),
    salt: random.uint32(),
  };
}
