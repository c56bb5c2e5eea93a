/** What commands say of weights. */
import { counted } from '../common/counted.js';
import type { LeftOut } from '../interop/index.js';
import type { ResNetOptions } from '../model/network/architecture.js';

const MOST_LISTED = 3;

/** `resnet18 of width 16` */
export function architectureInWords({ arch, width, stem }: ResNetOptions): string {
  return `${arch} of width ${width}${stem === 'small' ? ' with a stem for small images' : ''}`;
}

/** One line a reason. */
export function leftOutLines(leftOut: readonly LeftOut[]): string[] {
  return leftOut.map(({ reason, keys }) => {
    const more = keys.length > MOST_LISTED ? ', ...' : '';
    return `left out: ${counted(keys.length, 'key')} (${keys.slice(0, MOST_LISTED).join(', ')}${more}): ${reason}`;
  });
}
