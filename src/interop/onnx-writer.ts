/**
 * A backbone as a graph of ONNX, in eval mode: `images`, float32 [N, 3, H, W], to `features`, float32 [N, C], the global average of the last
 * stage. Field numbers are those of onnx.proto; operators are those of opset 17, which ONNX Runtime reads from 1.12 on.
 */
import { projects, type ResNet, type Unit } from '../model/network/architecture.js';
import { BN_EPSILON } from '../model/network/parameters.js';
import { chunksOf, float, integer, lazy, type Message, message, nested, text } from './protobuf.js';
import type { TorchTensor } from './torch-writer.js';
import { WeightsError } from './weights-error.js';

const [IR_VERSION, OPSET] = [8, 17];
/** What one message of Protocol Buffers may have; larger models keep their tensors in other files. */
const MOST_BYTES = 2 ** 31 - 1;

/** AttributeProto.AttributeType */
const [FLOAT_ATTRIBUTE, INTS_ATTRIBUTE] = [1, 7];
/** TensorProto.DataType */
const FLOAT = 1;

type Tensors = ReadonlyMap<string, TorchTensor>;

/**
 * @param tensors by torchvision's names, in PyTorch's layout
 * @returns the chunks of the file
 * @throws WeightsError for a backbone that is larger than a file of ONNX may be
 */
export function onnxModel(tensors: Tensors, net: ResNet): Generator<Uint8Array> {
  const graph = message(
    ...nodes(net).map((node) => nested(1, node)),
    text(2, 'backbone'),
    ...[...tensors].map(([name, tensor]) => nested(5, initializer(name, tensor))),
    nested(11, valueInfo('images', ['N', 3, 'H', 'W'])),
    nested(12, valueInfo('features', ['N', net.channels.res5])),
  );
  const opset = message(text(1, ''), integer(2, OPSET));
  const model = message(integer(1, IR_VERSION), text(2, 'detco'), nested(7, graph), nested(8, opset));
  if (model.bytes > MOST_BYTES) throw new WeightsError(`The backbone takes ${model.bytes} bytes, and a file of ONNX at most ${MOST_BYTES}`);
  return chunksOf(model);
}

/** The forward pass of model/network/resnet.ts. */
function nodes(net: ResNet): readonly Message[] {
  const made: Message[] = [];
  const node = (op: string, name: string, inputs: readonly string[], ...attributes: readonly Message[]): string => {
    const parts = [...inputs.map((input) => text(1, input)), text(2, name), text(3, name), text(4, op)];
    made.push(message(...parts, ...attributes.map((attribute) => nested(5, attribute))));
    return name;
  };
  const relu = (x: string): string => node('Relu', `${x}.relu`, [x]);
  const convolution = (name: string, x: string, kernel: number, stride: number): string => {
    const window = [ints('kernel_shape', [kernel, kernel]), ints('strides', [stride, stride]), ints('pads', around(kernel))];
    return node('Conv', name, [x, `${name}.weight`], ...window);
  };
  const norm = (name: string, x: string): string => {
    const values = ['weight', 'bias', 'running_mean', 'running_var'].map((value) => `${name}.${value}`);
    return node('BatchNormalization', name, [x, ...values], floatAttribute('epsilon', BN_EPSILON));
  };
  const unit = ({ name, stride, ...of }: Unit, x: string): string => {
    const layer = (index: number, input: string, kernel: number, step = 1): string =>
      norm(`${name}.bn${index}`, convolution(`${name}.conv${index}`, input, kernel, step));
    const h = net.bottleneck ? layer(3, relu(layer(2, relu(layer(1, x, 1)), 3, stride)), 1) : layer(2, relu(layer(1, x, 3, stride)), 3);
    const shortcut = projects({ name, stride, ...of })
      ? norm(`${name}.downsample.1`, convolution(`${name}.downsample.0`, x, 1, stride))
      : x;
    return relu(node('Add', name, [h, shortcut]));
  };

  const small = net.stem === 'small';
  let x = relu(norm('bn1', convolution('conv1', 'images', small ? 3 : 7, small ? 1 : 2)));
  if (!small) x = node('MaxPool', 'maxpool', [x], ints('kernel_shape', [3, 3]), ints('strides', [2, 2]), ints('pads', around(3)));
  for (const each of net.stages.flat()) x = unit(each, x);
  node('Flatten', 'features', [node('GlobalAveragePool', 'avgpool', [x])]);
  return made;
}

/** Padding as PyTorch's ResNets have it: top, left, bottom, right. */
function around(kernel: number): number[] {
  const side = (kernel - 1) / 2;
  return [side, side, side, side];
}

function initializer(name: string, { shape, values }: TorchTensor): Message {
  const bytes = 4 * shape.reduce((product, side) => product * side, 1);
  const raw = (): Uint8Array => {
    const { buffer, byteOffset, byteLength } = values();
    return new Uint8Array(buffer, byteOffset, byteLength);
  };
  return message(...shape.map((side) => integer(1, side)), integer(2, FLOAT), text(8, name), lazy(9, bytes, raw));
}

/** @param shape names for what a caller is free to choose */
function valueInfo(name: string, shape: readonly (number | string)[]): Message {
  const dimensions = shape.map((side) => nested(1, typeof side === 'number' ? integer(1, side) : text(2, side)));
  const tensor = message(integer(1, FLOAT), nested(2, message(...dimensions)));
  return message(text(1, name), nested(2, nested(1, tensor)));
}

function ints(name: string, values: readonly number[]): Message {
  return message(text(1, name), ...values.map((value) => integer(8, value)), integer(20, INTS_ATTRIBUTE));
}

function floatAttribute(name: string, value: number): Message {
  return message(text(1, name), float(2, value), integer(20, FLOAT_ATTRIBUTE));
}
