/**
 * TensorFlow's `Event`, a message of Protocol Buffers, as far as a run has something to say in it.
 *
 * Source: tensorflow/core/util/event.proto and tensorflow/core/framework/summary.proto; the numbers below are those of their fields.
 */

/** Wire types of Protocol Buffers. */
const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

function varint(value: number): number[] {
  const bytes: number[] = [];
  // Steps may have more than 32 bits, which bitwise operators cut off.
  for (; value > 0x7f; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  return [...bytes, value];
}

function key(field: number, wire: number): number[] {
  return varint(8 * field + wire);
}

function integer(field: number, value: number): Buffer {
  return Buffer.from([...key(field, VARINT), ...varint(value)]);
}

function bytes(field: number, value: Uint8Array | string): Buffer {
  const content = Buffer.from(value);
  return Buffer.concat([Buffer.from([...key(field, BYTES), ...varint(content.length)]), content]);
}

function double(field: number, value: number): Buffer {
  const content = Buffer.alloc(8);
  content.writeDoubleLE(value);
  return Buffer.concat([Buffer.from(key(field, FIXED64)), content]);
}

function float(field: number, value: number): Buffer {
  const content = Buffer.alloc(4);
  content.writeFloatLE(value);
  return Buffer.concat([Buffer.from(key(field, FIXED32)), content]);
}

/** When and where in the run: milliseconds since 1970, updates done. */
export interface Moment {
  readonly timeMs: number;
  readonly step: number;
}

/** @param what the part of the message that says what happened */
function event({ timeMs, step }: Moment, what: Buffer): Buffer {
  return Buffer.concat([double(1, timeMs / 1000), integer(2, step), what]);
}

/** What an event file begins with. */
export function versionEvent(timeMs: number): Buffer {
  return event({ timeMs, step: 0 }, bytes(3, 'brain.Event:2'));
}

/** The run begins here: what an earlier file has of this step and later ones, TensorBoard's own reader forgets. */
export function startEvent(at: Moment): Buffer {
  const start = 1;
  return event(at, bytes(7, integer(1, start)));
}

/** Scalars by tag. They are float32: TensorBoard's default reader shows no others. */
export function scalars(values: Readonly<Record<string, number>>): Buffer {
  return Buffer.concat(Object.entries(values).map(([tag, value]) => bytes(1, Buffer.concat([bytes(1, tag), float(2, value)]))));
}

/** A picture, RGBA. */
export function image(tag: string, png: Uint8Array): Buffer {
  const rgba = 4;
  // PNG's first chunk is at a fixed place.
  const header = new DataView(png.buffer, png.byteOffset + 16);
  const content = Buffer.concat([integer(1, header.getUint32(4)), integer(2, header.getUint32(0)), integer(3, rgba), bytes(4, png)]);
  return bytes(1, Buffer.concat([bytes(1, tag), bytes(4, content)]));
}

/** @param summary what `scalars` or `image` made */
export function summaryEvent(at: Moment, summary: Buffer): Buffer {
  return event(at, bytes(5, summary));
}

/** The step of an event, and what it holds as it was written; of one with neither, step 0 and nothing. */
export function readEvent(data: Buffer): { readonly step: number; readonly summary?: Buffer } {
  let step = 0;
  let summary: Buffer | undefined;
  for (let at = 0; at < data.length;) {
    const read = (): number => {
      let value = 0;
      for (let scale = 1; at < data.length; scale *= 128) {
        const byte = data[at++] as number;
        value += (byte & 0x7f) * scale;
        if (byte < 0x80) break;
      }
      return value;
    };
    const tag = read();
    const wire = tag % 8;
    const length = wire === VARINT ? 0 : wire === FIXED64 ? 8 : wire === FIXED32 ? 4 : read();
    if (wire === VARINT) {
      const value = read();
      if (tag === 8 * 2 + VARINT) step = value;
    } else if (tag === 8 * 5 + BYTES) summary = data.subarray(at, at + length);
    at += length;
  }
  return { step, ...(summary && { summary }) };
}
