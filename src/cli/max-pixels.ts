/** `--max-pixels`, of each command that decodes images: what refuses a larger one names it. */
import { readingShape } from '../pipeline/run-options.js';
import { numberText } from './number.js';

export const maxPixels = numberText(readingShape.maxPixels, '--max-pixels 67108864').optional();

/** For `Command.option`. */
export const MAX_PIXELS_FLAG = ['--max-pixels <n>', 'pixels above which an image is bad (default: 67108864)'] as const;
