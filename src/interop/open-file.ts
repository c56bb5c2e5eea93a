/** Files of weights, told apart by how they begin: safetensors, torch.save's two formats, and pickles such as Detectron2's. */
import { open, readFile, stat } from 'node:fs/promises';
import { codeOf } from '../common/error-code.js';
import { openSafetensors } from '../common/safetensors.js';
import { allowedNames } from './allowed-names.js';
import { ForeignTensor } from './foreign-tensor.js';
import { readPickle } from './pickle-reader.js';
import { MAGIC, type OpenedFile, openOldTorch, openTorchZip } from './torch-file.js';
import { about, WeightsError } from './weights-error.js';

const HEAD_BYTES = 64;
/** `PROTO`, which begins a pickle of protocol 2 or later. */
const PICKLE = 0x80;
const ZIP = 'PK\u0003\u0004';
/** `readFile` reads no more. */
const MOST_PICKLED = 2 ** 31;

/**
 * @throws WeightsError, whose message begins with the path, for what is no file of weights, is not whole or asks for what is not allowed
 */
export async function openFile(path: string): Promise<OpenedFile> {
  const head = await headOf(path).catch(about(path));
  return openAs(path, head).catch(about(path));
}

async function headOf(path: string): Promise<Buffer> {
  const found = await stat(path).catch((error: unknown) => {
    const missing = codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR';
    const problem = missing ? 'is not there: expected a file of weights' : `cannot be read (${codeOf(error)})`;
    throw new WeightsError(problem, { kind: missing ? 'missing' : 'unusable', cause: error });
  });
  if (!found.isFile()) throw new WeightsError('is no file: expected a file of weights', { kind: 'missing' });
  await using file = await open(path, 'r');
  const head = Buffer.alloc(Math.min(HEAD_BYTES, found.size));
  await file.read(head, 0, head.length, 0);
  return head;
}

async function openAs(path: string, head: Buffer): Promise<OpenedFile> {
  if (head.toString('latin1', 0, ZIP.length) === ZIP) return openTorchZip(path);
  if (head[0] === PICKLE && (head[1] ?? 0) <= 5) return isOldTorch(head) ? openOldTorch(path) : openPickle(path);
  // Eight bytes of length, and JSON.
  if (head[8] === '{'.charCodeAt(0)) return openTensors(path);
  const begins = head.length === 0 ? 'it is empty' : `it begins with ${JSON.stringify(head.toString('latin1', 0, 16))}`;
  throw new WeightsError(`is no file of weights: ${begins}; expected what torch.save or safetensors wrote, or a pickle of NumPy's arrays`);
}

function isOldTorch(head: Buffer): boolean {
  try {
    return readPickle(head, allowedNames()).value === MAGIC;
  } catch {
    return false;
  }
}

async function openPickle(path: string): Promise<OpenedFile> {
  const { size } = await stat(path);
  if (size >= MOST_PICKLED) throw new WeightsError(`has ${size} bytes: a pickle of at most 2 GiB can be read; save the weights alone`);
  const { value } = readPickle(await readFile(path), allowedNames());
  return { root: value, [Symbol.asyncDispose]: async () => {} };
}

async function openTensors(path: string): Promise<OpenedFile> {
  const file = await openSafetensors(path).catch((error: unknown) => {
    const message = error instanceof Error ? error.message : String(error);
    throw new WeightsError(message.startsWith(`${path} `) ? message.slice(path.length + 1) : message, { cause: error });
  });
  if (file.metadata['format'] === 'detco') {
    await file[Symbol.asyncDispose]();
    throw new WeightsError('is a part of a checkpoint of detco: give the folder that it lies in');
  }
  const tensors = [...file.tensors].map(([name, { dtype, shape, bytes }]) => [name, new ForeignTensor(dtype, shape, bytes)] as const);
  return { root: new Map(tensors), [Symbol.asyncDispose]: () => file[Symbol.asyncDispose]() };
}
