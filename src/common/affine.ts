/** The geometric operations of augmentation as one: Pillow's `Image.transform(AFFINE)`. */

export type GeometricStep =
  /** Counter-clockwise. */
  | { readonly op: 'rotate'; readonly degrees: number }
  /** Pixels of shift for each pixel along the other axis. */
  | { readonly op: 'shearX' | 'shearY'; readonly shear: number }
  /** Share of the picture's side by which its content moves left or up. */
  | { readonly op: 'translateX' | 'translateY'; readonly fraction: number };

/** Output (x, y) is the source at (a x + b y + c, d x + e y + f), positions being from the picture's corner. */
export type Affine = readonly [a: number, b: number, c: number, d: number, e: number, f: number];

/** Red, green and blue of what falls outside of the source: ImageNet's mean, what timm fills with. */
export const FILL = [124, 116, 104] as const;

const GEOMETRIC: ReadonlySet<string> = new Set(['rotate', 'shearX', 'shearY', 'translateX', 'translateY'] satisfies GeometricStep['op'][]);

/** Whether an operation moves pixels, and so gives something else on a mirrored picture. */
export function isGeometric<S extends { readonly op: string }>(step: S): step is S & GeometricStep {
  return GEOMETRIC.has(step.op);
}

/** Of a picture of so many pixels. */
export function affineOf(step: GeometricStep, width: number, height: number): Affine {
  switch (step.op) {
    case 'rotate': {
      const angle = (-step.degrees * Math.PI) / 180;
      const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
      const [x, y] = [width / 2, height / 2];
      return [cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y];
    }
    case 'shearX':
      return [1, step.shear, 0, 0, 1, 0];
    case 'shearY':
      return [1, 0, 0, step.shear, 1, 0];
    case 'translateX':
      return [1, 0, step.fraction * width, 0, 1, 0];
    case 'translateY':
      return [1, 0, 0, 0, 1, step.fraction * height];
  }
}
