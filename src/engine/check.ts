/** Argument checks that all engines share. */
import type { Scalar, Tensor, Tensor1D } from '@tensorflow/tfjs-core';
import { expectedOneOf } from '../common/nearest.js';
import type { Company } from './company.js';
import { PRECISIONS } from './engine.js';
import type { EngineOptions, Precision } from './engine.js';
import { MOST_THREADS } from './threads.js';

/** Engine options with their defaults. */
export interface ResolvedEngineOptions {
  readonly precision: Precision;
  readonly device: string;
  readonly threads?: number;
  readonly company?: Company;
}

const DEVICE = /^(auto|cpu|cuda(:\d+)?)$/;

/** Fills in the defaults. @throws when a value is none that any engine has. */
export function resolveOptions({ precision = 'fp32', device = 'auto', threads, company }: EngineOptions = {}): ResolvedEngineOptions {
  if (!PRECISIONS.includes(precision))
    throw new Error(`unknown precision "${String(precision)}": ${expectedOneOf(String(precision), PRECISIONS)}`);
  if (!DEVICE.test(device)) throw new Error(`unknown device "${device}": expected auto, cpu, cuda, or one GPU such as cuda:1`);
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1 && threads <= MOST_THREADS)) {
    throw new Error(`threads ${threads}: expected a whole number, 1..${MOST_THREADS}, eight for each core at most`);
  }
  return { precision, device, ...(threads !== undefined && { threads }), ...(company && { company }) };
}

/** @throws unless the shape ends in three channels and holds as many values as there are bytes. */
export function checkUpload(bytes: Uint8Array, shape: readonly number[]): void {
  const size = shape.reduce((product, length) => product * length, 1);
  if (shape[shape.length - 1] !== 3) throw new Error(`upload of shape [${shape}]: expected RGB, three channels last`);
  if (size !== bytes.length) throw new Error(`upload of ${bytes.length} bytes as [${shape}]: expected ${size} bytes`);
}

/** @throws unless `others` holds one tensor of the same shape for each of `tensors`, all of float32, and no tensor comes twice. */
export function checkPairs(name: string, tensors: readonly Tensor[], others: readonly Tensor[]): void {
  if (tensors.length !== others.length) throw new Error(`${others.length} ${name} for ${tensors.length} variables: expected one each`);
  // An engine may work on all of them at once.
  if (new Set(tensors).size !== tensors.length) throw new Error(`${name} for variables of which one comes twice: expected each once`);
  tensors.forEach((tensor, i) => {
    const other = others[i];
    if (other?.shape.join() !== tensor.shape.join()) {
      throw new Error(`${name}[${i}] of shape [${other?.shape}]: expected [${tensor.shape}], the shape of its variable`);
    }
    for (const { dtype } of [tensor, other]) {
      if (dtype !== 'float32')
        throw new Error(`${name}[${i}] for a variable of ${tensor.dtype} is ${other.dtype}: expected float32 for both`);
    }
  });
}

/** @throws unless `value` is a scalar of this type. */
export function checkScalar(name: string, value: Scalar, dtype: 'float32' | 'int32'): void {
  if (value.shape.length !== 0 || value.dtype !== dtype) {
    throw new Error(`${name} is ${value.dtype} of shape [${value.shape}]: expected a scalar, ${dtype}`);
  }
}

/** @throws unless keys are float32 [n, D], D as in queue [K, D], and the pointer an integer. */
export function checkKeys(queue: Tensor, keys: Tensor, pointer: Scalar): void {
  const [, width = 0] = queue.shape;
  checkScalar('queue pointer', pointer, 'int32');
  if (keys.rank !== 2 || keys.shape[1] !== width || keys.dtype !== 'float32')
    throw new Error(`keys are ${keys.dtype} of shape [${keys.shape}]: expected float32 [n, ${width}] for a queue [${queue.shape}]`);
}

/** @throws unless keys [n, D] fit into queue [K, D] at row `pointer`. */
export function checkPointer(queue: Tensor, keys: Tensor, pointer: number): void {
  const [rows = 0] = queue.shape;
  const [count = 0] = keys.shape;
  if (!Number.isInteger(pointer) || pointer < 0 || pointer + count > rows) {
    throw new Error(
      `queue pointer ${pointer} with ${count} keys: expected an integer from 0 to ${rows - count}, the queue has ${rows} rows`,
    );
  }
}

/** @throws unless rows are float32 [n, D], D as in bank [N, D], with an integer each. */
export function checkRows(bank: Tensor, rows: Tensor, ordinals: Tensor1D): void {
  const [, width = 0] = bank.shape;
  const [count = 0] = rows.shape;
  if (rows.rank !== 2 || rows.shape[1] !== width || rows.dtype !== 'float32')
    throw new Error(`rows are ${rows.dtype} of shape [${rows.shape}]: expected float32 [n, ${width}] for a bank [${bank.shape}]`);
  if (ordinals.shape.join() !== String(count) || ordinals.dtype !== 'int32')
    throw new Error(`ordinals are ${ordinals.dtype} of shape [${ordinals.shape}]: expected int32 [${count}], one for each row`);
}

/** @throws for an ordinal that the bank has no row for. */
export function checkOrdinals(bank: Tensor, ordinals: ArrayLike<number>): void {
  const [rows = 0] = bank.shape;
  const bad = Array.from(ordinals).find((ordinal) => ordinal < 0 || ordinal >= rows);
  if (bad !== undefined) throw new Error(`ordinal ${bad}: expected an integer from 0 to ${rows - 1}, the bank has ${rows} rows`);
}
