/**
 * Writes messages in the wire format of Protocol Buffers. A message is a list of chunks with the bytes that they come to: the length of a
 * message stands before it, while tensors, which are large, are made when their turn to be written comes.
 */
export interface Message {
  readonly bytes: number;
  readonly chunks: readonly Chunk[];
}

type Chunk = Uint8Array | (() => Uint8Array);

/** Wire types: a varint, and bytes behind their length. */
const [VARINT, DELIMITED] = [0, 2];

export function message(...fields: readonly Message[]): Message {
  return { bytes: fields.reduce((sum, { bytes }) => sum + bytes, 0), chunks: fields.flatMap(({ chunks }) => chunks) };
}

/** @param value from 0 to 2^53 - 1 */
export function integer(field: number, value: number): Message {
  return bytesOf([...varint(8 * field + VARINT), ...varint(value)]);
}

export function text(field: number, value: string): Message {
  return lazy(field, Buffer.byteLength(value), () => Buffer.from(value));
}

export function nested(field: number, inner: Message): Message {
  return message(bytesOf([...varint(8 * field + DELIMITED), ...varint(inner.bytes)]), inner);
}

/** A float of 32 bits. */
export function float(field: number, value: number): Message {
  const FIXED_32 = 5;
  return message(bytesOf(varint(8 * field + FIXED_32)), bytesOf([...new Uint8Array(Float32Array.of(value).buffer)]));
}

/** @param make gives as many bytes as are said, when they are written */
export function lazy(field: number, bytes: number, make: () => Uint8Array): Message {
  return nested(field, { bytes, chunks: [make] });
}

export function* chunksOf({ chunks }: Message): Generator<Uint8Array> {
  for (const chunk of chunks) yield typeof chunk === 'function' ? chunk() : chunk;
}

function bytesOf(values: readonly number[]): Message {
  return { bytes: values.length, chunks: [Uint8Array.from(values)] };
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) + 128);
  }
}
