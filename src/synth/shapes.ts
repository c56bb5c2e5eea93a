/**
 * Silhouettes as signed distance fields: negative inside, in units of the object's radius. A distance gives the
 * antialiased edge, the bevel that catches the light and the soft shadow from one number.
 */
import type { Shape } from './classes.js';

const { floor, max, min, sqrt } = Math;

type Point = readonly [x: number, y: number];
/** Closed polygons; a point is inside when it lies within an odd number of them. */
type Outline = readonly (readonly Point[])[];

/** Half the side of a field, in radii: shapes end at 1.12, the rest is room for the shadow. */
const EXTENT = 1.7;
/** Cells a side. One cell is then 0.018 radii, under a pixel for objects of up to 110 pixels across. */
const CELLS = 192;
const STEP = (2 * EXTENT) / CELLS;

export interface DistanceField {
  /** Signed distance at a point in radii; points outside the field read its border. */
  at(x: number, y: number): number;
}

const OUTLINES: Readonly<Record<Shape, Outline>> = {
  disc: [polar(72, () => 0.92)],
  star: [polar(10, (i) => (i % 2 === 0 ? 1.12 : 0.52))],
  ring: [polar(72, () => 1), polar(72, () => 0.46)],
};

const fields = new Map<Shape, DistanceField>();

/** The field of a shape, sampled from its outline on first use (about 10 ms). */
export function distanceField(shape: Shape): DistanceField {
  let field = fields.get(shape);
  if (!field) fields.set(shape, (field = sampleField(OUTLINES[shape])));
  return field;
}

function polar(points: number, radius: (i: number) => number): Point[] {
  return Array.from({ length: points }, (_, i) => {
    const angle = (2 * Math.PI * i) / points - Math.PI / 2;
    return [radius(i) * Math.cos(angle), radius(i) * Math.sin(angle)];
  });
}

function sampleField(outline: Outline): DistanceField {
  const side = CELLS + 1;
  const values = new Float32Array(side * side);
  for (let j = 0; j < side; j++) {
    for (let i = 0; i < side; i++) values[j * side + i] = signedDistance(outline, i * STEP - EXTENT, j * STEP - EXTENT);
  }
  const last = CELLS - 1e-3;
  return {
    at(x, y) {
      const gx = min(last, max(0, (x + EXTENT) / STEP));
      const gy = min(last, max(0, (y + EXTENT) / STEP));
      const i = floor(gx);
      const j = floor(gy);
      const u = gx - i;
      const v = gy - j;
      const k = j * side + i;
      const top = (values[k] as number) * (1 - u) + (values[k + 1] as number) * u;
      const bottom = (values[k + side] as number) * (1 - u) + (values[k + side + 1] as number) * u;
      return top * (1 - v) + bottom * v;
    },
  };
}

/** Distance to the nearest edge; its sign from the parity of the edges crossed by a ray to the right. */
function signedDistance(outline: Outline, x: number, y: number): number {
  let nearest = Infinity;
  let inside = false;
  for (const polygon of outline) {
    let [ax, ay] = polygon[polygon.length - 1] as Point;
    for (const [bx, by] of polygon) {
      const ex = bx - ax;
      const ey = by - ay;
      const along = min(1, max(0, ((x - ax) * ex + (y - ay) * ey) / (ex * ex + ey * ey)));
      nearest = min(nearest, (x - ax - along * ex) ** 2 + (y - ay - along * ey) ** 2);
      if (ay > y !== by > y && x < ax + ((y - ay) / ey) * ex) inside = !inside;
      [ax, ay] = [bx, by];
    }
  }
  return inside ? -sqrt(nearest) : sqrt(nearest);
}
