/** The object of a scene: its shadow, its silhouette, its texture and the light on its rounded rim. */
import { blend, eachPixel, type Canvas } from './canvas.js';
import { smoothstep } from './noise.js';
import type { Scene } from './scene.js';
import { distanceField, type DistanceField } from './shapes.js';
import { textures } from './textures.js';

const { max, min, round, sqrt } = Math;

/** How far the shadow is thrown and how soft it is, radii. */
const SHADOW = { throw: 0.14, inner: -0.12, outer: 0.2 } as const;

/** Picture coordinates relative to the centre -> the silhouette's own, in radii: u = ux x + uy y, v = vx x + vy y. */
interface Placement {
  readonly ux: number;
  readonly uy: number;
  readonly vx: number;
  readonly vy: number;
}

/** Paints the object; returns [height, width] its share of each pixel, 0..255. */
export function paintObject(canvas: Canvas, { object, light, class: { shape, texture } }: Scene): Uint8Array {
  const field = distanceField(shape);
  const cos = Math.cos(object.angle) / object.radius;
  const sin = Math.sin(object.angle) / object.radius;
  const place: Placement = {
    ux: cos / object.aspect,
    uy: sin / object.aspect,
    vx: -sin * object.aspect,
    vy: cos * object.aspect,
  };
  paintShadow(canvas, field, place, object, light.azimuth, light.shadow);

  const mask = new Uint8Array(canvas.width * canvas.height);
  const lit = lighting(field, place, object, light);
  const { fineness, pattern } = textures[texture];
  const period = object.period / fineness;
  const tx = Math.cos(object.textureAngle) / period;
  const ty = Math.sin(object.textureAngle) / period;
  const [phaseU, phaseV] = object.phase;
  const footprint = 1 / (object.radius * period);
  const [[r0, g0, b0], [r1, g1, b1]] = object.tones;
  eachPixel(canvas, object.x, object.y, object.radius * 1.35, (x, y, i) => {
    const px = x - object.x;
    const py = y - object.y;
    const u = place.ux * px + place.uy * py;
    const v = place.vx * px + place.vy * py;
    const distance = field.at(u, v);
    const coverage = min(1, max(0, 0.5 - distance * object.radius));
    if (coverage === 0) return;
    mask[i] = round(255 * coverage);
    const share = pattern(u * tx + v * ty + phaseU, v * tx - u * ty + phaseV, footprint, object.salt);
    const { diffuse, specular } = lit(u, v, distance);
    blend(
      canvas,
      i,
      (r0 + (r1 - r0) * share) * diffuse + specular,
      (g0 + (g1 - g0) * share) * diffuse + specular,
      (b0 + (b1 - b0) * share) * diffuse + specular,
      coverage,
    );
  });
  return mask;
}

function paintShadow(
  canvas: Canvas,
  field: DistanceField,
  place: Placement,
  { x: cx, y: cy, radius }: Scene['object'],
  azimuth: number,
  depth: number,
): void {
  const x0 = cx - Math.cos(azimuth) * radius * SHADOW.throw;
  const y0 = cy - Math.sin(azimuth) * radius * SHADOW.throw;
  eachPixel(canvas, x0, y0, radius * (1.35 + SHADOW.outer), (x, y, i) => {
    const px = x - x0;
    const py = y - y0;
    const distance = field.at(place.ux * px + place.uy * py, place.vx * px + place.vy * py);
    if (distance < SHADOW.outer) blend(canvas, i, 0, 0, 0, depth * (1 - smoothstep(SHADOW.inner, SHADOW.outer, distance)));
  });
}

interface Lit {
  diffuse: number;
  specular: number;
}

/** Lambert and Phong on a plate whose rim is rounded: flat from `bevel` radii inwards, nearly upright at the edge. */
function lighting(
  field: DistanceField,
  place: Placement,
  { bevel, gloss }: Scene['object'],
  light: Scene['light'],
): (u: number, v: number, distance: number) => Lit {
  const across = Math.cos(light.elevation);
  const lx = Math.cos(light.azimuth) * across;
  const ly = Math.sin(light.azimuth) * across;
  const lz = Math.sin(light.elevation);
  // Half a cell of the field or more, so that the slope is of two samples.
  const delta = 0.02;
  const lit: Lit = { diffuse: 0, specular: 0 };
  return (u, v, distance) => {
    const slope = min(1, max(0, 1 + distance / bevel));
    let nx = 0;
    let ny = 0;
    if (slope > 0) {
      const du = field.at(u + delta, v) - field.at(u - delta, v);
      const dv = field.at(u, v + delta) - field.at(u, v - delta);
      const gx = du * place.ux + dv * place.vx;
      const gy = du * place.uy + dv * place.vy;
      const scale = (0.9 * slope * slope) / max(1e-9, sqrt(gx * gx + gy * gy));
      nx = gx * scale;
      ny = gy * scale;
    }
    const nz = sqrt(1 - nx * nx - ny * ny);
    const lambert = max(0, nx * lx + ny * ly + nz * lz);
    // Seen from straight above, the mirrored ray leans towards the viewer by 2 (n.l) n_z - l_z.
    const mirror = max(0, 2 * lambert * nz - lz);
    lit.diffuse = light.ambient + (1.15 - light.ambient) * lambert;
    lit.specular = gloss * mirror ** 12;
    return lit;
  };
}
