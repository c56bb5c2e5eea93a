import { expect, test } from '@jest/globals';
import { z } from 'zod';
import { optionFlags } from '#dist/common/option-flags.js';
import { configSchema } from '#dist/train/config-schema.js';
import { FLAGS } from '#dist/train/flags.js';

/** The options in a schema, those of every kind among them, that are registered with a flag. */
function registered(schema: z.core.$ZodType, name: string): string[] {
  const own = optionFlags.get(schema as z.ZodType) ? [name] : [];
  return [...own, ...inside(schema).flatMap(([inner, one]) => registered(one, [name, inner].filter(Boolean).join('.')))];
}

function inside(schema: z.core.$ZodType): [name: string, schema: z.core.$ZodType][] {
  if (schema instanceof z.ZodObject) return Object.entries(schema.shape as Record<string, z.core.$ZodType>);
  if (schema instanceof z.ZodDiscriminatedUnion) return schema.options.map((one) => ['', one]);
  const { innerType } = schema._zod.def as { readonly innerType?: z.core.$ZodType };
  return innerType ? [['', innerType]] : [];
}

test('every flag that is registered with an option of a run, whosever it is, is one of detco train', () => {
  expect([...new Set(registered(configSchema, ''))].toSorted()).toEqual(FLAGS.map(({ option }) => option).toSorted());
});
