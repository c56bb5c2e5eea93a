/** Numbers on the command line: whole ones by their digits alone, others as C and Python write them. */
import { z } from 'zod';

/** Text of digits within `low..high`; `example` is shown to who gives anything else. */
export function whole(low: number, high: number, example: string): z.ZodType<number, string> {
  return number(/^\d+$/, (value) => value >= low && value <= high, `a whole number, ${low}..${high}`, example);
}

/** A decimal number such as `0.03`, `.5` or `3e-4`, above 0 and at most `high`. */
export function positive(high: number, example: string): z.ZodType<number, string> {
  return number(/^(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i, (value) => value > 0 && value <= high, `a number above 0, at most ${high}`, example);
}

function number(form: RegExp, fits: (value: number) => boolean, wanted: string, example: string): z.ZodType<number, string> {
  return z
    .string()
    .refine((text) => form.test(text) && fits(Number(text)), { error: `expected ${wanted}; give for example ${example}` })
    .transform(Number);
}
