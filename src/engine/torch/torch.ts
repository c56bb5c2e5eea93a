/** LibTorch's operators as functions of TypeScript, with temporaries that free themselves. */
import type { TypedArray } from '@tensorflow/tfjs-core';
import type { JpegFile } from '../jpeg-decoder.js';
import type { Argument, ScalarType, TorchAddon } from './addon.js';

/** A tensor of LibTorch. */
export class Ref {
  constructor(
    readonly id: number,
    readonly type: ScalarType,
    readonly shape: readonly number[],
  ) {}
}

/** An operator's argument; undefined takes the schema's default, null is None. */
export type Operand = Ref | Argument | readonly Ref[];

/** Numbers of an undefined tensor in the mail. */
const UNDEFINED = 0;

export class Torch {
  readonly #operators = new Map<string, number>();
  /** What the kernel at hand has made so far. */
  #made: Ref[] = [];

  constructor(readonly addon: TorchAddon) {}

  /** The first result of an operator: `run('aten::add.Tensor', a, b)`. */
  run(name: string, ...operands: Operand[]): Ref {
    const [first] = this.runAll(name, ...operands);
    if (first === undefined) throw new Error(`${name} gave no tensor`);
    return first;
  }

  /** All results of an operator; an undefined tensor is undefined. */
  runAll(name: string, ...operands: Operand[]): (Ref | undefined)[] {
    let operator = this.#operators.get(name);
    if (operator === undefined) {
      operator = this.addon.operator(name);
      this.#operators.set(name, operator);
    }
    return this.#receive(this.addon.call(operator, ...operands.map(toArgument)));
  }

  /** The outputs of a recorded program. */
  runProgram(program: number, inputs: readonly Ref[]): (Ref | undefined)[] {
    return this.#receive(
      this.addon.runProgram(
        program,
        inputs.map(({ id }) => id),
      ),
    );
  }

  #receive(count: number): (Ref | undefined)[] {
    const results: (Ref | undefined)[] = [];
    for (let i = 0, at = 0; i < count; i++) {
      const rank = this.addon.mail[at + 2] ?? 0;
      results.push(this.#received(at));
      at += 3 + rank;
    }
    return results;
  }

  upload(values: TypedArray | Float64Array, type: ScalarType, shape: readonly number[]): Ref {
    this.addon.upload(values, type, shape);
    const ref = this.#received(0);
    if (ref === undefined) throw new Error('an upload gave no tensor');
    return ref;
  }

  /** The pixels are the caller's to free. */
  decodeJpegs(files: readonly JpegFile[]): { readonly pixels: Ref; readonly refused: readonly number[] } {
    const [data, widths, heights] = [files.map((file) => file.data), files.map(({ width }) => width), files.map(({ height }) => height)];
    const refused = this.addon.decodeJpegs(data, widths, heights);
    const pixels = this.#received(0);
    if (pixels === undefined) throw new Error('decoding gave no tensor');
    return { pixels: this.adopt(pixels), refused };
  }

  free(ref: Ref): void {
    this.addon.free(ref.id);
  }

  /** Runs `body` and frees every tensor made in it that is not among those that `kept` names of its result. */
  scope<T>(body: () => T, kept: (result: T) => readonly Ref[]): T {
    const outer = this.#made;
    this.#made = [];
    let keep: ReadonlySet<Ref> = new Set();
    try {
      const result = body();
      keep = new Set(kept(result));
      return result;
    } finally {
      for (const ref of this.#made) if (!keep.has(ref)) this.free(ref);
      this.#made = outer;
      for (const ref of keep) outer.push(ref);
    }
  }

  /** Takes a tensor out of the scope: whoever calls this frees it. */
  adopt(ref: Ref): Ref {
    const at = this.#made.lastIndexOf(ref);
    if (at >= 0) this.#made.splice(at, 1);
    return ref;
  }

  #received(at: number): Ref | undefined {
    const { mail } = this.addon;
    const id = mail[at] ?? UNDEFINED;
    if (id === UNDEFINED) return undefined;
    const rank = mail[at + 2] ?? 0;
    const shape: number[] = [];
    for (let d = 0; d < rank; d++) shape.push(mail[at + 3 + d] ?? 0);
    const ref = new Ref(id, mail[at + 1] as ScalarType, shape);
    this.#made.push(ref);
    return ref;
  }
}

function toArgument(operand: Operand): Argument {
  if (operand instanceof Ref) return operand.id;
  if (!Array.isArray(operand)) return operand as Argument;
  return operand[0] instanceof Ref ? (operand as readonly Ref[]).map(({ id }) => id) : (operand as readonly number[]);
}
