/** The methods. A method is its file here and its line in `METHODS`: presets, config, help and tests follow. */
import type { z } from 'zod';
import { kinds, optionsByKind } from '../../common/kinds.js';
import { noSuch } from '../../common/nearest.js';
import { quoted } from '../../common/quoted.js';
import type { MethodKind, MethodPreset } from '../method.js';
import { byol } from './byol.js';
import { colorization } from './colorization.js';
import { densecl } from './densecl.js';
import { detco } from './detco.js';
import { instdis } from './instdis.js';
import { insloc } from './insloc.js';
import { inpainting } from './inpainting.js';
import { moco } from './moco.js';
import { patchReId } from './patch-reid.js';
import { pirl } from './pirl.js';
import { rotation } from './rotation.js';
import { relativePosition } from './relative-position.js';
import { jigsaw } from './jigsaw.js';
import { simclr } from './simclr.js';
import { swav } from './swav.js';

const METHODS = [
  detco,
  moco,
  simclr,
  byol,
  densecl,
  swav,
  instdis,
  pirl,
  rotation,
  colorization,
  inpainting,
  insloc,
  patchReId,
  relativePosition,
  jigsaw,
] as const;

type Schema = (typeof METHODS)[number]['schema'];
/** The options of one of the methods, told by their `name`. */
export type MethodOptions = z.output<Schema>;
/** Options of a method as a config file gives them, before defaults. */
export type MethodInput = z.input<Schema>;

/** All methods, in the order of `METHODS`. */
export const METHOD_NAMES: readonly string[] = METHODS.map(({ name }) => name);

const [first, ...others] = METHODS;
/** Options of every method; `name` tells which. */
export const methodOptionsSchema = kinds('method', 'name', [first.schema, ...others.map(({ schema }) => schema)]);

/** The method of this name. @throws RangeError when there is none */
export function methodKind(name: string): MethodKind<MethodOptions> {
  const kind = METHODS.find((one) => one.name === name);
  if (!kind) throw new RangeError(`unknown method ${quoted(name)}: expected ${METHOD_NAMES.join(', ')}`);
  return kind;
}

/** A preset with the name of its method. */
export type NamedPreset = MethodPreset<object> & { readonly method: { readonly name: string } };

/** The presets of all methods; options of the method that a preset does not name are its defaults. */
export const METHOD_PRESETS: Readonly<Record<string, NamedPreset>> = Object.fromEntries(
  METHODS.flatMap(({ name, presets }) =>
    Object.entries<MethodPreset<object>>(presets).map(([preset, given]) => [preset, { ...given, method: { ...given.method, name } }]),
  ),
);

/** Fills in defaults and checks; throws an error that names each bad option and quotes its value. */
export function methodOptions(input: MethodInput): MethodOptions {
  const parsed = methodOptionsSchema.safeParse(input);
  if (parsed.success) return Object.freeze(parsed.data);
  const problems = parsed.error.issues.map((issue) => {
    let value: unknown = input;
    for (const key of issue.path) value = (value as Record<PropertyKey, unknown> | undefined)?.[key];
    const whole = issue.code === 'unrecognized_keys' && issue.path.length === 0;
    const message = whole ? noSuch(issue.keys, optionsByKind(methodOptionsSchema).get(input.name) ?? []) : issue.message;
    return `${issue.path.join('.') || 'options'} = ${quoted(value)}: ${message}`;
  });
  throw new TypeError(`Unusable method options: ${problems.join('; ')}`);
}
