/** Two-tone textures: 0 is the first tone, 1 the second. Each covers about half of the surface with either. */
import type { Texture } from './classes.js';
import { smoothstep, valueNoise } from './noise.js';

const { abs, floor, hypot, max, min } = Math;

/**
 * @param u,v place on the object, in periods of the texture
 * @param footprint side of a pixel in periods; edges are softened over it, so that the texture does not alias
 */
export type TextureFunction = (u: number, v: number, footprint: number, salt: number) => number;

export const textures: Readonly<Record<Texture, TextureFunction>> = {
  striped: (u, _v, footprint) => wave(u * 0.75, 0.75 * footprint) * 0.5 + 0.5,
  // Squares of half a diagonal period: as fine as the stripes in every direction.
  checked: (u, v, footprint) => wave(u * 0.8, footprint) * wave(v * 0.8, footprint) * 0.5 + 0.5,
  // Discs of radius 0.37 on a lattice of side 1 cover 43 % of it.
  dotted: (u, v, footprint) => {
    const distance = hypot(u - floor(u) - 0.5, v - floor(v) - 0.5);
    return 1 - smoothstep(0.37 - footprint, 0.37 + footprint, distance);
  },
  marbled: (u, v, footprint, salt) => {
    [u, v] = [0.7 * u, 0.7 * v];
    const bend = valueNoise(u * 0.8, v * 0.8, salt ^ 0x5bd1e995);
    const vein = valueNoise(u * 1.5 + bend, v * 1.5 - bend, salt) + 0.5 * valueNoise(u * 3.3, v * 3.3, salt ^ 0x1b873593);
    const soft = 0.12 + footprint;
    return smoothstep(-soft, soft, vein);
  },
  // Bricks three times as long as high, half a brick over in every other row, with joints a third as wide as the bricks are high.
  bricked: (u, v, footprint) => {
    const row = v * 2.6;
    const along = u * 1.1 + (floor(row) % 2) / 2;
    const joint = max(line(row, 0.34, 2.6 * footprint), line(along, 0.15, 1.1 * footprint));
    return 1 - joint;
  },
  // Stripes that turn at right angles every half period.
  zigzag: (u, v, footprint) => wave(1.5 * u + 1.2 * abs(1.5 * v - floor(1.5 * v) - 0.5), 1.5 * footprint) * 0.5 + 0.5,
  ringed: (u, v, footprint) => wave(hypot(u, v) * 1.1, 1.1 * footprint) * 0.5 + 0.5,
  // Lines 0.28 wide in both directions cover 48 %.
  meshed: (u, v, footprint) => max(line(2 * u, 0.28, 2 * footprint), line(2 * v, 0.28, 2 * footprint)),
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
