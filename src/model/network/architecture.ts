/**
 * The ResNets (He et al., CVPR 2016) as torchvision builds them, stride in the 3x3 convolution: their units, and the tensors these need. No
 * tensor library: files of weights are read and written by these tables too.
 */
import { batchNorm, batchNormBuffers, convolution } from './parameters.js';
import type { NetworkSpecs, ParameterSpec } from './parameters.js';

/** The four stages, by detectron2's names; res2 is torchvision's layer1. */
export const STAGES = ['res2', 'res3', 'res4', 'res5'] as const;
/** A stage of a ResNet, by torchvision's layer1 to layer4. */
export type Stage = (typeof STAGES)[number];
/** The stage that most methods contrast, and whose features are exported. */
export const LAST_STAGE: Stage = 'res5';

export const ARCHITECTURES = {
  resnet18: { bottleneck: false, depths: [2, 2, 2, 2] },
  resnet34: { bottleneck: false, depths: [3, 4, 6, 3] },
  resnet50: { bottleneck: true, depths: [3, 4, 6, 3] },
  resnet101: { bottleneck: true, depths: [3, 4, 23, 3] },
} as const;

/** A name of `ARCHITECTURE_NAMES`. */
export type Architecture = keyof typeof ARCHITECTURES;
/** All ResNets that there are. */
export const ARCHITECTURE_NAMES = Object.keys(ARCHITECTURES) as [Architecture, ...Architecture[]];

/** `imagenet`: 7x7 stride 2 and max pooling, 1/4 of the input; `small`: 3x3 stride 1, for inputs of some 32 pixels. */
export type Stem = 'imagenet' | 'small';

/** What makes two ResNets the same network. */
export interface ResNetOptions {
  readonly arch: Architecture;
  /** Channels of the stem and of the first stage's 3x3 convolutions; 64 in the paper. */
  readonly width: number;
  readonly stem: Stem;
}

/** One residual unit. */
export interface Unit {
  readonly name: string;
  readonly inputs: number;
  /** Channels of the 3x3 convolution. */
  readonly planes: number;
  readonly outputs: number;
  readonly stride: number;
}

/** Parameters are in torchvision's order. */
export interface ResNet extends NetworkSpecs {
  readonly stem: Stem;
  readonly bottleneck: boolean;
  /** The units of res2..res5. */
  readonly stages: readonly (readonly Unit[])[];
  /** Channels of res2..res5. */
  readonly channels: Readonly<Record<Stage, number>>;
}

export function resNet({ arch, width, stem }: ResNetOptions): ResNet {
  const { bottleneck, depths } = ARCHITECTURES[arch];
  const parameters: ParameterSpec[] = [];
  const buffers: ParameterSpec[] = [];
  const add = (conv: string, norm: string, kernel: number, inputs: number, outputs: number): void => {
    parameters.push(convolution(conv, kernel, inputs, outputs), ...batchNorm(norm, outputs));
    buffers.push(...batchNormBuffers(norm, outputs));
  };

  add('conv1', 'bn1', stem === 'imagenet' ? 7 : 3, 3, width);
  let inputs = width;
  const stages = depths.map((depth, stage) => {
    const planes = width * 2 ** stage;
    const outputs = bottleneck ? 4 * planes : planes;
    return Array.from({ length: depth }, (_, i): Unit => {
      const name = `layer${stage + 1}.${i}`;
      const unit = { name, inputs, planes, outputs, stride: stage > 0 && i === 0 ? 2 : 1 };
      if (bottleneck) {
        add(`${name}.conv1`, `${name}.bn1`, 1, inputs, planes);
        add(`${name}.conv2`, `${name}.bn2`, 3, planes, planes);
        add(`${name}.conv3`, `${name}.bn3`, 1, planes, outputs);
      } else {
        add(`${name}.conv1`, `${name}.bn1`, 3, inputs, planes);
        add(`${name}.conv2`, `${name}.bn2`, 3, planes, outputs);
      }
      if (projects(unit)) add(`${name}.downsample.0`, `${name}.downsample.1`, 1, inputs, outputs);
      inputs = outputs;
      return unit;
    });
  });
  const widest = bottleneck ? 4 * width : width;
  const channels = { res2: widest, res3: 2 * widest, res4: 4 * widest, res5: 8 * widest };
  return { stem, bottleneck, stages, channels, parameters, buffers };
}

/** Pixels of the image for each cell of a stage's map, on both sides. */
export function strideOf({ stem }: Pick<ResNet, 'stem'>, stage: Stage): number {
  return (stem === 'imagenet' ? 4 : 1) * 2 ** STAGES.indexOf(stage);
}

/** Whether the shortcut of a unit is a convolution. */
export function projects({ stride, inputs, outputs }: Unit): boolean {
  return stride !== 1 || inputs !== outputs;
}

/** Whether the output of the stage `last` depends on a parameter of the backbone. */
export function reaches(last: Stage, name: string): boolean {
  const layer = /^layer(\d)/.exec(name)?.[1];
  return layer === undefined || Number(layer) <= STAGES.indexOf(last) + 1;
}
