/** Writes pickles of what files of weights are made of. Nothing is remembered: what comes twice is written twice. */

/** A name of Python's. */
export class Global {
  readonly module: string;
  readonly name: string;

  constructor(module: string, name: string) {
    this.module = module;
    this.name = name;
  }
}

/** A call, and what its result is given then: the items of a dict, or a state. */
export interface Call {
  readonly callee: Global;
  readonly args: readonly PickleValue[];
  readonly items?: ReadonlyMap<string, PickleValue>;
  readonly state?: readonly PickleValue[];
}

/** What torch keeps outside of the pickle. */
export interface Persistent {
  readonly id: readonly PickleValue[];
}

/** Map -> dict, array -> tuple, number -> int, bytes -> bytes (protocol 3). */
export type PickleValue =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly PickleValue[]
  | ReadonlyMap<string, PickleValue>
  | Global
  | Call
  | Persistent;

const MARK = op('(');
const SHORT_TUPLES = [op(')'), op('\u0085'), op('\u0086'), op('\u0087')] as const;

/** @param protocol 2, which torch.load reads with weights_only; 3 has bytes */
export function* pickle(value: PickleValue, protocol: 2 | 3): Generator<Uint8Array> {
  yield Buffer.from([0x80, protocol]);
  yield* write(value);
  yield op('.');
}

function op(code: string): Buffer {
  return Buffer.from(code, 'latin1');
}

function* write(value: PickleValue): Generator<Uint8Array> {
  if (value === null) yield op('N');
  else if (typeof value === 'boolean') yield op(value ? '\u0088' : '\u0089');
  else if (typeof value === 'number') yield integer(value);
  else if (typeof value === 'string') yield sized('X', Buffer.from(value));
  else if (value instanceof Uint8Array) {
    yield sized('B', Buffer.alloc(0), value.byteLength);
    yield value;
  } else if (value instanceof Global) yield op(`c${value.module}\n${value.name}\n`);
  else if (value instanceof Map) {
    yield op('}');
    yield* items(value as ReadonlyMap<string, PickleValue>);
  } else if (Array.isArray(value)) yield* tuple(value as readonly PickleValue[]);
  else if ('id' in value) {
    yield* tuple(value.id);
    yield op('Q');
  } else if ('callee' in value) yield* call(value);
}

function* call({ callee, args, items: its, state }: Call): Generator<Uint8Array> {
  yield* write(callee);
  yield* tuple(args);
  yield op('R');
  if (its) yield* items(its);
  if (!state) return;
  yield* tuple(state);
  yield op('b');
}

function* tuple(values: readonly PickleValue[]): Generator<Uint8Array> {
  const short = SHORT_TUPLES[values.length];
  if (!short) yield MARK;
  for (const value of values) yield* write(value);
  yield short ?? op('t');
}

function* items(values: ReadonlyMap<string, PickleValue>): Generator<Uint8Array> {
  yield MARK;
  for (const [key, value] of values) {
    yield* write(key);
    yield* write(value);
  }
  yield op('u');
}

function sized(code: string, bytes: Buffer, length = bytes.length): Buffer {
  const head = Buffer.alloc(5);
  head.write(code, 'latin1');
  head.writeUInt32LE(length, 1);
  return Buffer.concat([head, bytes]);
}

/** BININT1, BININT2, BININT, or LONG1 for what does not fit. */
function integer(value: number): Buffer {
  if (value >= 0 && value <= 0xff) return Buffer.from([0x4b, value]);
  if (value >= 0 && value <= 0xffff) return Buffer.from([0x4d, value & 0xff, value >> 8]);
  const bytes = Buffer.alloc(10);
  if (value >= -0x8000_0000 && value <= 0x7fff_ffff) {
    bytes.write('J', 'latin1');
    bytes.writeInt32LE(value, 1);
    return bytes.subarray(0, 5);
  }
  bytes[0] = 0x8a;
  bytes[1] = 8;
  bytes.writeBigInt64LE(BigInt(value), 2);
  return bytes;
}
