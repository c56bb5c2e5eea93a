/** The compiled kernels, as the host sees them. */
import { readFile } from 'node:fs/promises';

/** What `assembly/index.ts` exports; addresses are byte offsets into `memory`. */
export interface KernelExports {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  arenaStart(): number;
  cropResize(
    source: number,
    sourceWidth: number,
    left: number,
    top: number,
    right: number,
    bottom: number,
    boxLeft: number,
    boxTop: number,
    scaleX: number,
    scaleY: number,
    target: number,
    size: number,
    flip: number,
    scratch: number,
  ): void;
  point(image: number, pixels: number, program: number, instructions: number): number;
  wideBlur(image: number, width: number, height: number, inner: number, pair: number, fraction: number, scratch: number): void;
  narrowBlur(image: number, spare: number, width: number, height: number, innerPair: number, outerPair: number, line: number): void;
  sharpen(source: number, target: number, width: number, height: number, pair: number): void;
  transform(
    source: number,
    target: number,
    width: number,
    height: number,
    a: number,
    b: number,
    c: number,
    d: number,
    e: number,
    f: number,
    colour: number,
  ): void;
  autoContrast(image: number, pixels: number, scratch: number): void;
  equalize(image: number, pixels: number, scratch: number): void;
  mirror(image: number, width: number, height: number): void;
  quarterTurn(source: number, target: number, side: number): void;
  cutPatches(canvas: number, canvasSide: number, patchSide: number, corners: number, patches: number, target: number): void;
}

// The compiler's libraries for Node leave WebAssembly out: this is the part used here.
declare const WebAssembly: {
  instantiate(bytes: Uint8Array): Promise<{ readonly instance: { readonly exports: unknown } }>;
};

/** Opcodes of `assembly/point.ts`. */
export const OPCODE = {
  blendGrey: 0,
  saturation: 1,
  hue: 2,
  greyscale: 3,
  invert: 4,
  posterize: 5,
  solarize: 6,
  solarizeAdd: 7,
  sumLuma: 8,
} as const;

/** A new instance with a memory of its own. */
export async function instantiateKernels(): Promise<KernelExports> {
  const { instance } = await WebAssembly.instantiate(await readFile(new URL('./kernels.wasm', import.meta.url)));
  return instance.exports as KernelExports;
}
