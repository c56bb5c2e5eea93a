/** `--max-pixels`, of each command that decodes images: what refuses a larger one names it. */
import { MOST_PIXELS } from '../pipeline/worker/image-header.js';
import { whole } from './number.js';

export const maxPixels = whole(1, MOST_PIXELS, '--max-pixels 67108864').optional();

/** For `Command.option`. */
export const MAX_PIXELS_FLAG = ['--max-pixels <n>', 'pixels above which an image is bad (default: 67108864)'] as const;
