/** Writes a backbone as other programs read it. */
import type { FileSum } from '../common/file-sum.js';
import { writeSafetensors, type TensorSource } from '../common/safetensors.js';
import { expectedOneOf } from '../common/nearest.js';
import { quoted } from '../common/quoted.js';
import { resNet } from '../model/network/architecture.js';
import { torchShape, toTorchLayout } from '../model/network/parameters.js';
import { detectron2Pickle } from './detectron2-writer.js';
import type { LeftOut } from './foreign-backbone.js';
import { placeProblem } from './export-place.js';
import type { LoadedBackbone } from './load-backbone.js';
import { toDetectron2 } from './names.js';
import { onnxModel } from './onnx-writer.js';
import { replaceWhole, writeChunks } from '../common/replace-whole.js';
import { torchArchive, type TorchTensor } from './torch-writer.js';
import { WeightsError } from './weights-error.js';

type Tensors = ReadonlyMap<string, TorchTensor>;
type Write = (path: string, tensors: Tensors, backbone: LoadedBackbone) => Promise<FileSum>;

const COUNTS = '.num_batches_tracked';
const MOCO_PREFIX = 'module.encoder_q.';

const asTorch: Write = (path, tensors) => writeChunks(path, torchArchive(tensors));
const asSafetensors: Write = (path, tensors, { architecture }) => {
  const sources = [...tensors].map(([name, { shape, type, values }]): [string, TensorSource] => [
    name,
    { shape, dtype: type === 'float32' ? 'F32' : 'I64', data: async () => values() },
  ]);
  // Hugging Face's loaders ask for this format.
  return writeSafetensors(path, new Map(sources), { format: 'pt', arch: architecture.arch });
};
const asMoco: Write = (path, tensors, { architecture: { arch } }) =>
  writeChunks(
    path,
    torchArchive(
      renamed(tensors, (name) => `${MOCO_PREFIX}${name}`),
      (stateDict) =>
        new Map([
          ['arch', arch],
          ['state_dict', stateDict],
        ]),
    ),
  );
const asOnnx: Write = (path, tensors, { architecture }) => writeChunks(path, onnxModel(tensors, resNet(architecture)));
const asDetectron2: Write = (path, tensors) => writeChunks(path, detectron2Pickle(renamed(tensors, toDetectron2)));

/** By the endings of files. */
const TORCHVISION: Readonly<Record<string, Write>> = { '.safetensors': asSafetensors, '.pth': asTorch, '.pt': asTorch, '.bin': asTorch };

/** What each format may end in, and how it is written then. */
const FORMATS = {
  torchvision: TORCHVISION,
  timm: TORCHVISION,
  safetensors: { '.safetensors': asSafetensors },
  moco: { '.pth.tar': asMoco, '.pth': asMoco },
  detectron2: { '.pkl': asDetectron2 },
  onnx: { '.onnx': asOnnx },
} as const satisfies Readonly<Record<string, Readonly<Record<string, Write>>>>;

/** A name of `EXPORT_FORMATS`. */
export type ExportFormat = keyof typeof FORMATS;
/** All formats that `exportBackbone` writes. */
export const EXPORT_FORMATS = Object.keys(FORMATS) as [ExportFormat, ...ExportFormat[]];

/** What `exportBackbone` wrote. */
export interface ExportReport extends FileSum {
  readonly path: string;
  readonly format: ExportFormat;
  /** Keys that were written. */
  readonly keys: number;
  readonly leftOut: readonly LeftOut[];
}

/** @returns why a file cannot have this format; undefined when it can */
export function endingProblem(path: string, format: ExportFormat): string | undefined {
  if (writerOf(path, format)) return undefined;
  const others = EXPORT_FORMATS.filter((other) => writerOf(path, other));
  const hint = others.length > 0 ? `, or --format ${others.join(' or ')}` : '';
  return `expected a name that ends in ${Object.keys(FORMATS[format]).join(' or ')} for the format ${format}${hint}`;
}

function writerOf(path: string, format: ExportFormat): Write | undefined {
  return Object.entries<Write>(FORMATS[format]).find(([ending]) => path.endsWith(ending))?.[1];
}

export interface WriteOptions {
  /** Called before each tensor with the bytes of those before it and of all; what it throws ends the work. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

/**
 * Writes a backbone to a file, which is there whole or not at all.
 *
 * @throws RangeError for a format that there is not, a name that does not end as it should, or a place among weights that detco reads
 */
export async function exportBackbone(
  backbone: LoadedBackbone,
  path: string,
  format: ExportFormat,
  options: WriteOptions = {},
): Promise<ExportReport> {
  const problem = await placeProblem(path, backbone.source.path);
  if (problem !== undefined) throw new RangeError(`${quoted(path)}: ${problem}`);
  return writeBackbone(backbone, path, format, options);
}

/** `exportBackbone` to any place. */
export async function writeBackbone(
  backbone: LoadedBackbone,
  path: string,
  format: ExportFormat,
  { onProgress }: WriteOptions,
): Promise<ExportReport> {
  if (!Object.hasOwn(FORMATS, format))
    throw new RangeError(`unknown format ${quoted(format)}: ${expectedOneOf(String(format), EXPORT_FORMATS)}`);
  const write = writerOf(path, format);
  if (!write) throw new RangeError(`${quoted(path)}: ${endingProblem(path, format)}`);
  const all = torchTensors(backbone);
  const counts = [...all.keys()].filter(isCount);
  // Nothing in Detectron2 reads them, and its frozen batch norms would report each as unknown. A graph of ONNX has no place for them.
  const dropped = format === 'detectron2' || format === 'onnx' ? counts : [];
  const kept = new Map([...all].filter(([name]) => !dropped.includes(name)));
  const tensors = onProgress ? heard(kept, onProgress) : kept;
  const sum = await replaceWhole(path, (partial) => write(partial, tensors, backbone));
  const leftOut = [
    // The counts of a file that was read are written anew.
    ...backbone.source.leftOut.filter(({ keys }) => !keys.every(isCount)),
    ...(dropped.length > 0
      ? [{ reason: `counts of batches, which ${format === 'onnx' ? 'ONNX' : 'Detectron2'} has no use for`, keys: dropped }]
      : []),
  ];
  return { path, format, keys: tensors.size, ...sum, leftOut };
}

function isCount(name: string): boolean {
  return name.endsWith(COUNTS);
}

/** In the order of torchvision's state_dict: behind the offset of a batch norm its running statistics and its count of batches. */
function torchTensors({ architecture, tensors, source: { step = 0 } }: LoadedBackbone): Tensors {
  const result = new Map<string, TorchTensor>();
  const add = (name: string): void => {
    const tensor = tensors.get(name);
    if (!tensor) throw new WeightsError(`The backbone lacks ${quoted(name)}`);
    const { data: values, shape } = tensor;
    result.set(name, { shape: torchShape(shape), type: 'float32', values: () => toTorchLayout({ values, shape }).values });
  };
  for (const { name } of resNet(architecture).parameters) {
    add(name);
    if (!name.endsWith('.bias')) continue;
    const norm = name.slice(0, -'.bias'.length);
    for (const statistic of ['running_mean', 'running_var']) add(`${norm}.${statistic}`);
    result.set(`${norm}${COUNTS}`, { shape: [], type: 'int64', values: () => BigInt64Array.of(BigInt(step)) });
  }
  return result;
}

/** The same tensors, which tell when it is their turn to be written. */
function heard(tensors: Tensors, onProgress: Required<WriteOptions>['onProgress']): Tensors {
  const bytesOf = ({ shape, type }: TorchTensor): number => shape.reduce((size, side) => size * side, type === 'float32' ? 4 : 8);
  let total = 0;
  for (const tensor of tensors.values()) total += bytesOf(tensor);
  let offset = 0;
  return new Map(
    [...tensors].map(([name, tensor]) => {
      const before = offset;
      offset += bytesOf(tensor);
      const values = (): ReturnType<TorchTensor['values']> => {
        onProgress(before, total);
        return tensor.values();
      };
      return [name, { ...tensor, values }];
    }),
  );
}

function renamed(tensors: Tensors, rename: (name: string) => string): Tensors {
  return new Map([...tensors].map(([name, tensor]) => [rename(name), tensor]));
}
