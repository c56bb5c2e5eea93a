/** Which ResNet tensors are of, by their names and shapes. */
import { type Architecture, ARCHITECTURES, type ResNetOptions } from '../model/network/architecture.js';
import { MOST_CHANNELS } from '../model/network/limits.js';
import { WeightsError } from './weights-error.js';

/**
 * @param shapes by torchvision's names, in PyTorch's layout
 * @throws WeightsError for what is none of detco's ResNets, saying in what it differs
 */
export function inferArchitecture(shapes: ReadonlyMap<string, readonly number[]>): ResNetOptions {
  const stem = shapes.get('conv1.weight') ?? [];
  const [width = 0, colours, height, breadth] = stem;
  if (stem.length !== 4 || colours !== 3 || height !== breadth || (height !== 7 && height !== 3) || width < 1 || width > MOST_CHANNELS)
    throw new WeightsError(
      `holds conv1.weight with shape [${stem.join(', ')}]: expected [width, 3, 7, 7], or [width, 3, 3, 3] of a stem for small images`,
    );
  const bottleneck = [...shapes.keys()].some((name) => /^layer\d\.\d+\.conv3\.weight$/.test(name));
  const depths = [1, 2, 3, 4].map((stage) => depthOf(shapes, stage));
  const names = Object.keys(ARCHITECTURES) as Architecture[];
  const arch = names.find((name) => ARCHITECTURES[name].bottleneck === bottleneck && ARCHITECTURES[name].depths.join() === depths.join());
  if (arch === undefined)
    throw new WeightsError(
      `holds a network of ${depths.join(', ')} ${bottleneck ? 'bottleneck' : 'basic'} units: expected one of ${names.join(', ')}`,
    );
  return { arch, width, stem: height === 7 ? 'imagenet' : 'small' };
}

/** By the last unit of which anything is there: what is missing of those before it is named when all keys are accounted for. */
function depthOf(shapes: ReadonlyMap<string, unknown>, stage: number): number {
  const units = [...shapes.keys()].map((name) => /^layer(\d)\.(\d+)\./.exec(name));
  return Math.max(0, ...units.map((unit) => (Number(unit?.[1]) === stage ? Number(unit?.[2]) + 1 : 0)));
}
