/** Flags of `detco train` for options of methods. Apart from the methods, since the help of a command loads no tensor library. */
import { MOST_KEYS } from '../network/limits.js';

export const METHOD_FLAGS = [
  {
    option: 'method.queueSize',
    flag: '--queue-size <n>',
    help: 'keys in each queue, of methods that have one; a multiple of the batch',
    whole: [1, MOST_KEYS],
    example: '65536',
  },
] as const;
