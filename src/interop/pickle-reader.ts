/**
 * Reads Python's pickles (protocols 2 to 5, the opcodes of pickletools) as data. A pickle is a program for a machine with a stack, and may
 * call whatever Python can import; here a name is one of a list of ours or an error, and what is called is a function of ours.
 *
 * dict -> Map, list and tuple -> array, bytes -> Buffer, int -> number or bigint, None -> null.
 */
import { WeightsError } from './weights-error.js';

/** A function that stands for one of Python's. */
export class Callable {
  readonly name: string;
  readonly call: (args: readonly unknown[]) => unknown;

  constructor(name: string, call: (args: readonly unknown[]) => unknown) {
    this.name = name;
    this.call = call;
  }
}

/** An object that takes its state after it was made. */
export abstract class Built {
  abstract build(state: unknown): void;
}

/** What a pickle refers to outside of itself. */
export interface References {
  /** @param name of a module and in it, such as `collections.OrderedDict`. @throws WeightsError for one that is not allowed */
  readonly named: (name: string) => unknown;
  /** What torch calls a persistent id: a storage. */
  readonly persistent?: (id: unknown) => unknown;
}

export interface ReadPickle {
  readonly value: unknown;
  /** Where the next byte of the file is. */
  readonly end: number;
}

/** A pickle that ends before its STOP. */
export class PickleEndError extends WeightsError {
  override name = 'PickleEndError';
}

/** @throws WeightsError for what is no pickle, or asks for what is not allowed */
export function readPickle(bytes: Buffer, references: References, start = 0): ReadPickle {
  return new Machine(bytes, references, start).run();
}

class Machine {
  readonly #bytes: Buffer;
  readonly #references: References;
  #at: number;
  #stack: unknown[] = [];
  /** The stacks that marks have put aside. */
  readonly #marked: unknown[][] = [];
  readonly #memo = new Map<number, unknown>();

  constructor(bytes: Buffer, references: References, start: number) {
    this.#bytes = bytes;
    this.#references = references;
    this.#at = start;
  }

  run(): ReadPickle {
    for (;;) {
      const opcode = this.uint(1);
      if (opcode === STOP) return { value: this.pop(), end: this.#at };
      const step = OPCODES.get(opcode);
      if (!step) throw this.error(`is opcode 0x${opcode.toString(16)}, which files of weights do not have`);
      step(this);
    }
  }

  error(message: string): WeightsError {
    return new WeightsError(`cannot be read: at byte ${this.#at} of its pickle ${message}`);
  }

  push(value: unknown): void {
    this.#stack.push(value);
  }

  top(): unknown {
    if (this.#stack.length === 0) throw this.error('its stack is empty');
    return this.#stack.at(-1);
  }

  pop(): unknown {
    const value = this.top();
    this.#stack.pop();
    return value;
  }

  /** The topmost, in the order they came. */
  popMany(count: number): unknown[] {
    return Array.from({ length: count }, () => this.pop()).toReversed();
  }

  mark(): void {
    this.#marked.push(this.#stack);
    this.#stack = [];
  }

  popToMark(): unknown[] {
    const items = this.#stack;
    const below = this.#marked.pop();
    if (!below) throw this.error('a mark is missing');
    this.#stack = below;
    return items;
  }

  take(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#bytes.length)
      throw new PickleEndError(`is not whole: its pickle ends at byte ${this.#bytes.length}, before byte ${end}`);
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  uint(size: 1 | 2 | 4 | 8): number {
    const bytes = this.take(size);
    return size === 8 ? Number(bytes.readBigUInt64LE()) : bytes.readUIntLE(0, size);
  }

  line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at);
    if (end < 0) throw new PickleEndError('is not whole: its pickle ends in the middle of a name');
    return this.take(end + 1 - this.#at)
      .toString('utf8')
      .slice(0, -1);
  }

  get(index: number): void {
    if (!this.#memo.has(index)) throw this.error(`nothing was remembered as ${index}`);
    this.push(this.#memo.get(index));
  }

  put(index = this.#memo.size): void {
    this.#memo.set(index, this.top());
  }

  named(name: string): void {
    this.push(this.#references.named(name));
  }

  persistent(id: unknown): void {
    if (!this.#references.persistent) throw this.error('it refers to something outside of it');
    this.push(this.#references.persistent(id));
  }

  reduce(): void {
    const [callee, args] = this.popMany(2);
    if (!(callee instanceof Callable) || !Array.isArray(args)) throw this.error('it calls what cannot be called');
    this.push(callee.call(args));
  }

  setItems(items: readonly unknown[]): void {
    const target = this.top();
    if (!(target instanceof Map)) throw this.error('it sets the items of what is no dict');
    for (let i = 0; i + 1 < items.length; i += 2) target.set(items[i], items[i + 1]);
  }

  append(items: readonly unknown[]): void {
    const target = this.top();
    if (!Array.isArray(target)) throw this.error('it appends to what is no list');
    for (const item of items) target.push(item);
  }

  /** The attributes of a dict, such as torch's `_metadata`, are of no use here. */
  build(): void {
    const state = this.pop();
    const target = this.top();
    if (target instanceof Built) target.build(state);
    else if (!(target instanceof Map)) throw this.error('it gives a state to what has none');
  }
}

const STOP = code('.');

function code(character: string): number {
  return character.charCodeAt(0);
}

/** Little-endian two's complement of any length. */
function longOf(bytes: Buffer): number | bigint {
  if (bytes.length === 0) return 0;
  const hex = Buffer.from(bytes.toReversed()).toString('hex');
  const value = BigInt.asIntN(8 * bytes.length, BigInt(`0x${hex}`));
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

const textOf = (size: 1 | 4 | 8) => (m: Machine) => m.push(m.take(m.uint(size)).toString('utf8'));
const bytesOf = (size: 1 | 4 | 8) => (m: Machine) => m.push(m.take(m.uint(size)));
/** A `str` of Python 2, which may be text or bytes. */
const oldTextOf = (size: 1 | 4) => (m: Machine) => m.push(m.take(m.uint(size)).toString('latin1'));
const tupleOf = (count: number) => (m: Machine) => m.push(m.popMany(count));

const OPCODES: ReadonlyMap<number, (m: Machine) => void> = new Map([
  [0x80, (m) => void m.uint(1)], // PROTO
  [0x95, (m) => void m.take(8)], // FRAME
  [code('('), (m) => m.mark()],
  [code('0'), (m) => void m.pop()],
  [code('1'), (m) => void m.popToMark()],
  [code('2'), (m) => m.push(m.top())],
  [code('N'), (m) => m.push(null)],
  [0x88, (m) => m.push(true)],
  [0x89, (m) => m.push(false)],
  [code('J'), (m) => m.push(m.take(4).readInt32LE())],
  [code('K'), (m) => m.push(m.uint(1))],
  [code('M'), (m) => m.push(m.uint(2))],
  [0x8a, (m) => m.push(longOf(m.take(m.uint(1))))], // LONG1
  [0x8b, (m) => m.push(longOf(m.take(m.uint(4))))], // LONG4
  [code('G'), (m) => m.push(m.take(8).readDoubleBE())],
  [code('U'), oldTextOf(1)],
  [code('T'), oldTextOf(4)],
  [0x8c, textOf(1)],
  [code('X'), textOf(4)],
  [0x8d, textOf(8)],
  [code('C'), bytesOf(1)],
  [code('B'), bytesOf(4)],
  [0x8e, bytesOf(8)],
  [0x96, bytesOf(8)], // BYTEARRAY8
  [code(']'), (m) => m.push([])],
  [code('a'), (m) => m.append([m.pop()])],
  [code('e'), (m) => m.append(m.popToMark())],
  [code('l'), (m) => m.push(m.popToMark())],
  [code(')'), (m) => m.push([])],
  [code('t'), (m) => m.push(m.popToMark())],
  [0x85, tupleOf(1)],
  [0x86, tupleOf(2)],
  [0x87, tupleOf(3)],
  [code('}'), (m) => m.push(new Map())],
  [code('s'), (m) => m.setItems(m.popMany(2))],
  [code('u'), (m) => m.setItems(m.popToMark())],
  [code('c'), (m) => m.named(`${m.line()}.${m.line()}`)],
  [0x93, (m) => m.named(m.popMany(2).join('.'))], // STACK_GLOBAL
  [code('R'), (m) => m.reduce()],
  [0x81, (m) => m.reduce()], // NEWOBJ
  [code('b'), (m) => m.build()],
  [code('Q'), (m) => m.persistent(m.pop())],
  [code('h'), (m) => m.get(m.uint(1))],
  [code('j'), (m) => m.get(m.uint(4))],
  [code('q'), (m) => m.put(m.uint(1))],
  [code('r'), (m) => m.put(m.uint(4))],
  [0x94, (m) => m.put()], // MEMOIZE
]);
