/** Options of one of several kinds, which a name among them tells apart: those of a method, an optimizer, a recipe, a schedule. */
import { z } from 'zod';
import { expectedOneOf, nearestNames } from './nearest.js';
import { isOptions } from './options.js';

/**
 * The schema of such options. Of a kind that there is not it tells the nearest, and where there are no options it shows some.
 *
 * @param option what they are called
 * @param by the option that names the kind
 */
export function kinds<By extends string, const Schemas extends readonly [z.ZodObject, ...z.ZodObject[]]>(
  option: string,
  by: By,
  schemas: Schemas,
) {
  const names = schemas.map((schema) => kindOf(schema, by));
  return z.discriminatedUnion(by, schemas, {
    error: ({ input }) => {
      if (!isOptions(input)) return expectedOptions({ option, by, names }, input);
      return expectedOneOf(typeof input[by] === 'string' ? input[by] : '', names);
    },
  });
}

/**
 * What is expected in the place of a value that holds no options: some of the kind whose name comes nearest.
 *
 * @param usual the kind where no name is near
 */
export function expectedOptions(
  { option, by, names }: { readonly option: string; readonly by: string; readonly names: readonly string[] },
  value: unknown,
  usual = names[0],
): string {
  const nearest = typeof value === 'string' ? nearestNames(value, names)[0] : undefined;
  return `expected options, as in ${option}: { ${by}: ${nearest ?? usual} }`;
}

function kindOf({ shape }: z.ZodObject, by: string): string {
  return (shape[by] as z.ZodLiteral<string>).value;
}

export type Kinds = z.ZodDiscriminatedUnion<readonly z.ZodObject[], string>;

/** The names of each kind's options, by the kind's own name. */
export function optionsByKind({ options, def }: Kinds): ReadonlyMap<string, readonly string[]> {
  return new Map(options.map((schema) => [kindOf(schema, def.discriminator), Object.keys(schema.shape)]));
}

/** The kinds that have an option of this name. */
export function kindsWith(union: Kinds, option: string): string[] {
  return [...optionsByKind(union)].flatMap(([kind, options]) => (options.includes(option) ? [kind] : []));
}
