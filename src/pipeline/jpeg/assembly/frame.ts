/** What is being decoded: set by the host before a scan, constant during it but for predictions and the columns that are wanted. */

export const MOST_COMPONENTS = 3;

/** One component of the image and the strip of its samples: two rows of MCUs, which take turns. */
@unmanaged
export class Component {
  /** Blocks of an MCU. */
  across: i32;
  down: i32;
  /** Samples of a block, across and down: 8, or fewer where the image is decoded smaller. */
  side: i32;
  /** Of `huffman.ts`. */
  dcTable: usize;
  acTable: usize;
  /** 64 x u16 in natural order. */
  quantisation: usize;
  /** Samples; row y is row y mod `rows` of the strip. */
  plane: usize;
  stride: usize;
  /** A power of two. */
  rows: i32;
  /** Of the whole component, samples, without the padding to whole blocks. */
  width: i32;
  height: i32;
  /** Pixels per sample. */
  expandX: i32;
  expandY: i32;
  /** One upsampled row, pixels. */
  line: usize;
  /** The last block's DC coefficient. */
  prediction: i32;
  /** Columns of blocks whose samples are wanted in this row of MCUs. */
  firstColumn: i32;
  endColumn: i32;
}

const COMPONENTS = memory.data(MOST_COMPONENTS * 80, 16);

@inline
export function component(index: i32): Component {
  return changetype<Component>(COMPONENTS + <usize>index * offsetof<Component>());
}

export let components: i32 = 0;
export let mcusAcross: i32 = 0;
/** MCUs between two restart markers; 0: there are none. */
export let restartInterval: i32 = 0;

export function setFrame(count: i32, across: i32, interval: i32): void {
  components = count;
  mcusAcross = across;
  restartInterval = interval;
}

export function setComponent(
  index: i32,
  across: i32,
  down: i32,
  side: i32,
  dcTable: usize,
  acTable: usize,
  quantisation: usize,
  plane: usize,
  stride: usize,
  rows: i32,
  width: i32,
  height: i32,
  expandX: i32,
  expandY: i32,
  line: usize,
): void {
  const own = component(index);
  own.across = across;
  own.down = down;
  own.side = side;
  own.dcTable = dcTable;
  own.acTable = acTable;
  own.quantisation = quantisation;
  own.plane = plane;
  own.stride = stride;
  own.rows = rows;
  own.width = width;
  own.height = height;
  own.expandX = expandX;
  own.expandY = expandY;
  own.line = line;
}

/** Which columns of blocks to make samples of; the others are read and dropped. */
export function setColumns(index: i32, first: i32, end: i32): void {
  const own = component(index);
  own.firstColumn = first;
  own.endColumn = end;
}
