/** The built-in recipes as programs call them: their options are checked, for JavaScript has no compiler that does it. */
import { z } from 'zod';
import { noSuch } from '../../common/nearest.js';
import { isOptions } from '../../common/options.js';
import { quoted } from '../../common/quoted.js';
import type { Recipe } from './recipe.js';
import { GLOBAL_SIZE, recipes as unchecked } from './recipes.js';
import { globalSize, recipeOptionsSchema } from './recipe-options.js';

const schemas = [
  ...recipeOptionsSchema.options,
  // Not for training, so no file and no flag has their options.
  z.strictObject({ name: z.literal('linear'), globalSize }),
  z.strictObject({ name: z.literal('evaluation'), globalSize }),
] as const;

/** @throws RangeError that names the first option that cannot be used, quotes its value and says what was expected */
function checked({ shape: { name, ...shape } }: (typeof schemas)[number]): (options?: unknown) => Recipe {
  const make: (options: object) => Recipe = unchecked[name.value];
  const schema = z.object(shape);
  const refused = (problem: string): RangeError => new RangeError(`recipes.${name.value}: ${problem}`);
  return (options = {}) => {
    if (!isOptions(options))
      throw refused(`${quoted(options)} holds no options; expected an object, such as { globalSize: ${GLOBAL_SIZE} }`);
    const unknown = Object.keys(options).filter((key) => !Object.hasOwn(shape, key));
    if (unknown.length > 0) throw refused(noSuch(unknown, Object.keys(shape)));
    const { data, error } = schema.safeParse(options);
    if (data) return make(data);
    const [issue] = error.issues;
    const option = String(issue?.path[0]);
    throw refused(`${option} is ${quoted(options[option])}: ${issue?.message}`);
  };
}

/** The built-in recipes by name; each call returns plain data that may be edited. */
export const recipes = Object.fromEntries(schemas.map((schema) => [schema.shape.name.value, checked(schema)])) as typeof unchecked;
