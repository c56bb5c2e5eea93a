/**
 * Rows of pictures with captions, as one picture:
 *
 *   title
 *   # name  note
 *   [picture] [picture] ...      a cell has one picture, or several in a square
 *   caption   caption
 */
import { type Box, Canvas, type Colour, type Pixels } from './canvas.js';
import { LINE, textWidth } from './font.js';

/** A picture as it lies in a cell. */
export interface Tile {
  readonly pixels: Pixels;
  /** How many pixels of the sheet a pixel of the picture has, across and down. */
  readonly zoom: number;
  readonly caption: readonly string[];
  /** What is marked on it, in pixels of the sheet from its corner. */
  readonly outlines?: readonly { readonly box: Box; readonly colour: Colour }[];
}

export interface Cell {
  readonly tiles: readonly Tile[];
  /** Tiles beside each other. */
  readonly across: number;
  /** Below all of them. */
  readonly caption: readonly string[];
}

export interface Row {
  readonly name: string;
  readonly note: string;
  /** What the row is marked with. */
  readonly colour?: Colour | undefined;
  /** Pixels from one tile of a cell to the next. */
  readonly step: number;
  readonly cells: readonly Cell[];
}

/** Where a picture lies on the sheet. */
export interface Place {
  /** From the first, at the top. */
  readonly row: number;
  readonly column: number;
  readonly tile: number;
  readonly left: number;
  readonly top: number;
  readonly zoom: number;
}

export interface Sheet {
  readonly canvas: Canvas;
  readonly places: readonly Place[];
}

const MARGIN = 12;
const GAP = 12;
export const TILE_GAP = 4;
const SWATCH = 9;
const INK: Colour = [29, 29, 31];
const PALE: Colour = [99, 99, 104];

interface Measured extends Row {
  /** Height of the tiles of each cell, without caption; the same in the whole row. */
  readonly tileHeight: number;
  readonly tilesHeight: number;
  readonly height: number;
}

function measure(row: Row): Measured {
  const tiles = row.cells.flatMap((cell) => cell.tiles);
  const picture = Math.max(...tiles.map(({ pixels, zoom }) => pixels.height * zoom));
  const caption = Math.max(...tiles.map((tile) => tile.caption.length));
  const tileHeight = picture + TILE_GAP + (caption > 0 ? caption * LINE + TILE_GAP : 0);
  const down = Math.max(...row.cells.map((cell) => Math.ceil(cell.tiles.length / cell.across)));
  const tilesHeight = down * tileHeight;
  const below = Math.max(...row.cells.map((cell) => cell.caption.length));
  return { ...row, tileHeight, tilesHeight, height: LINE + TILE_GAP + tilesHeight + below * LINE };
}

/**
 * @param width pixels of a cell
 * @throws RangeError for a sheet that is too large to be looked at
 */
export function drawSheet(title: string, rows: readonly Row[], width: number): Sheet {
  const measured = rows.map(measure);
  const columns = Math.max(...rows.map(({ cells }) => cells.length));
  const inner = Math.max(columns * (width + GAP) - GAP, textWidth(title), ...rows.map(headingWidth));
  const outer = 2 * MARGIN + LINE + measured.reduce((sum, { height }) => sum + height + GAP, 0);
  const canvas = new Canvas(inner + 2 * MARGIN, outer);
  const places: Place[] = [];
  canvas.text(MARGIN, MARGIN, title, PALE);
  let top = MARGIN + LINE + GAP;
  for (const [number, row] of measured.entries()) {
    drawHeading(canvas, row, top);
    for (const [column, cell] of row.cells.entries()) {
      const corner = { left: MARGIN + column * (width + GAP), top: top + LINE + TILE_GAP };
      for (const place of drawCell(canvas, row, cell, corner)) places.push({ ...place, row: number, column });
    }
    top += row.height + GAP;
  }
  return { canvas, places };
}

function headingWidth({ name, note, colour }: Row): number {
  return (colour ? SWATCH + TILE_GAP : 0) + textWidth(`${name}  ${note}`);
}

function drawHeading(canvas: Canvas, { name, note, colour }: Row, top: number): void {
  let left = MARGIN;
  if (colour) {
    canvas.area({ left, top: top - 1, width: SWATCH, height: SWATCH }, INK);
    canvas.area({ left: left + 1, top, width: SWATCH - 2, height: SWATCH - 2 }, colour);
    left += SWATCH + TILE_GAP;
  }
  canvas.text(left, top, name, INK);
  canvas.text(left + textWidth(`${name}  `) + 1, top, note, PALE);
}

function drawCell(
  canvas: Canvas,
  row: Measured,
  { tiles, across, caption }: Cell,
  corner: { readonly left: number; readonly top: number },
): Omit<Place, 'row' | 'column'>[] {
  const places = tiles.map(({ pixels, zoom, caption: words, outlines = [] }, tile) => {
    const left = corner.left + (tile % across) * row.step;
    const top = corner.top + Math.floor(tile / across) * row.tileHeight;
    canvas.picture(left, top, pixels, zoom);
    for (const { box, colour } of outlines) canvas.outline({ ...box, left: left + box.left, top: top + box.top }, colour);
    drawLines(canvas, words, left, top + pixels.height * zoom + TILE_GAP);
    return { tile, left, top, zoom };
  });
  drawLines(canvas, caption, corner.left, corner.top + row.tilesHeight);
  return places;
}

function drawLines(canvas: Canvas, words: readonly string[], left: number, top: number): void {
  for (const [line, text] of words.entries()) canvas.text(left, top + line * LINE, text, INK);
}
