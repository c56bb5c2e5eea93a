/** What single operations make of one image: a row an operation, a column a value of its range. */
import { applyStep } from '../augment/execute.js';
import { Kernels } from '../augment/kernels.js';
import { stepValue } from './captions.js';
import type { Pixels } from './canvas.js';
import { type Cell, drawSheet, type Sheet, TILE_GAP } from './layout.js';
import { type OperationPoint, operationRange } from './operations.js';

/** Room for the words of a value. */
const LEAST_WIDTH = 84;

/**
 * @param image a square
 * @param title what the image is
 * @throws RangeError for a sheet that is too large to be looked at
 */
export async function operationSheet(image: Pixels, names: readonly string[], title: string): Promise<Sheet> {
  const side = image.width;
  const kernels = await Kernels.load(side);
  const zoom = Math.max(1, Math.round(LEAST_WIDTH / side));
  const width = Math.max(LEAST_WIDTH, side * zoom);
  const cellOf = (point: OperationPoint): Cell => {
    kernels.setImage(side, side, image.data);
    if (point.step) applyStep(kernels, point.step);
    const data = new Uint8Array(image.data.length);
    kernels.read(data);
    return { tiles: [{ pixels: { width: side, height: side, data }, zoom, caption: [] }], across: 1, caption: words(point) };
  };
  const rows = names.map((name) => {
    const points = operationRange(name, side);
    const note = points.some(({ magnitude }) => magnitude !== undefined) ? 'at magnitudes of RandAugment, out of 10' : noteOf(points);
    return { name, note, step: width + TILE_GAP, cells: points.map(cellOf) };
  });
  return drawSheet(title, rows, width);
}

function noteOf(points: readonly OperationPoint[]): string {
  return points.some(({ step }) => step === undefined) ? 'without and with it' : 'over its range';
}

function words({ step, magnitude }: OperationPoint): string[] {
  if (!step) return ['without'];
  return [stepValue(step) || 'with', ...(magnitude === undefined ? [] : [`magnitude ${magnitude}`])];
}
