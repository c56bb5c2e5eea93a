/** Two-tone textures: 0 is the first tone, 1 the second. Each covers about half of the surface with either. */
import type { Texture } from './classes.js';
import { smoothstep, valueNoise } from './noise.js';

const { abs, floor, hypot, max, min } = Math;

/**
 * @param u,v place on the object, in periods of the pattern
 * @param footprint side of a pixel in periods; edges are softened over it, so that the pattern does not alias
 */
type Pattern = (u: number, v: number, footprint: number, salt: number) => number;

export interface TextureSpec {
  /** Periods of the pattern to one period of the object: what is fine stays fine on a large object. */
  readonly fineness: number;
  readonly pattern: Pattern;
}

export const textures: Readonly<Record<Texture, TextureSpec>> = {
  striped: { fineness: 0.75, pattern: (u, _v, footprint) => wave(u, footprint) * 0.5 + 0.5 },
  checked: { fineness: 0.8, pattern: (u, v, footprint) => wave(u, footprint) * wave(v, footprint) * 0.5 + 0.5 },
  // Discs of radius 0.37 on a lattice of side 1 cover 43 % of it.
  dotted: {
    fineness: 1,
    pattern: (u, v, footprint) => {
      const distance = hypot(u - floor(u) - 0.5, v - floor(v) - 0.5);
      return 1 - smoothstep(0.37 - footprint, 0.37 + footprint, distance);
    },
  },
  marbled: {
    fineness: 0.7,
    pattern: (u, v, footprint, salt) => {
      const bend = valueNoise(u * 0.8, v * 0.8, salt ^ 0x5bd1e995);
      const vein = valueNoise(u * 1.5 + bend, v * 1.5 - bend, salt) + 0.5 * valueNoise(u * 3.3, v * 3.3, salt ^ 0x1b873593);
      const soft = 0.12 + footprint;
      return smoothstep(-soft, soft, vein);
    },
  },
  // Bricks some two and a half times as long as high, half a brick over in every other row.
  bricked: {
    fineness: 2.6,
    pattern: (u, v, footprint) => {
      const along = u * 0.42 + (floor(v) % 2) / 2;
      return 1 - max(line(v, 0.34, footprint), line(along, 0.15, 0.42 * footprint));
    },
  },
  // Stripes that turn every half period.
  zigzag: { fineness: 1.5, pattern: (u, v, footprint) => wave(u + 1.2 * abs(v - floor(v) - 0.5), footprint) * 0.5 + 0.5 },
  ringed: { fineness: 1.1, pattern: (u, v, footprint) => wave(hypot(u, v), footprint) * 0.5 + 0.5 },
  // Lines 0.28 wide in both directions cover 48 %.
  meshed: { fineness: 2, pattern: (u, v, footprint) => max(line(u, 0.28, footprint), line(v, 0.28, footprint)) },
};

/** 1 on a line of a width around every whole number, 0 elsewhere; its flanks are two pixels wide. */
function line(x: number, width: number, footprint: number): number {
  const distance = 0.5 - abs(x - floor(x) - 0.5);
  return 1 - smoothstep(width / 2 - footprint, width / 2 + footprint, distance);
}

/** A square wave of period 1 in [-1, 1] whose flanks are two pixels wide. */
function wave(x: number, footprint: number): number {
  const ramp = 4 * abs(x - floor(x) - 0.5) - 1;
  return max(-1, min(1, ramp / max(4 * footprint, 1e-6)));
}
