/** Numbers on the command line: whole ones by their digits alone, others as C and Python write them. */
import { z } from 'zod';

/** The schema of a number, under what makes it optional; undefined for an option that is none. */
export function numberOption(schema: z.ZodType): z.ZodNumber | undefined {
  if (schema instanceof z.ZodNumber) return schema;
  return schema instanceof z.ZodOptional || schema instanceof z.ZodDefault ? numberOption(schema.unwrap() as z.ZodType) : undefined;
}

/**
 * Text of a number within the bounds that its option has.
 *
 * @param example is shown to who gives anything else
 * @param most where the machine bounds it further
 */
export function numberText(schema: z.ZodType, example: string, most = Infinity): z.ZodType<number, string> {
  const number = numberOption(schema);
  if (number === undefined) throw new TypeError(`${example}: its option is no number`);
  const high = Math.min(number.maxValue ?? Infinity, most);
  return number.isInt ? whole(number.minValue ?? 0, high, example) : positive(high, example);
}

/** Text of digits within `low..high`; `example` is shown to who gives anything else. */
export function whole(low: number, high: number, example: string): z.ZodType<number, string> {
  return number(/^\d+$/, (value) => value >= low && value <= high, `a whole number, ${low}..${high}`, example);
}

/** Text of a port to listen on; 0 is any that is free. */
export function portNumber(example: string): z.ZodType<number, string> {
  return whole(0, 65_535, example);
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
