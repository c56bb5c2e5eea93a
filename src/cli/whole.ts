/** A whole number on the command line. */
import { z } from 'zod';

/** Text of digits within `low..high`; `example` is shown to who gives anything else. */
export function whole(low: number, high: number, example: string): z.ZodType<number, string> {
  return z
    .string()
    .refine((text) => /^\d+$/.test(text) && Number(text) >= low && Number(text) <= high, {
      error: `expected a whole number, ${low}..${high}; give for example ${example}`,
    })
    .transform(Number);
}
