/** An amount of bytes on the command line. */
import { z } from 'zod';
import { parseByteSize } from '../pipeline/source/index.js';
import { reasonOf } from '../pipeline/source/source.js';

/** Text such as `512MB`; whole bytes. */
export const byteSize: z.ZodType<number, string> = z.string().transform((text, context) => {
  try {
    return parseByteSize(text);
  } catch (error) {
    context.addIssue({ code: 'custom', message: reasonOf(error) });
    return z.NEVER;
  }
});
