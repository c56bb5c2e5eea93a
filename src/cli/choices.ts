/** Which options are one of a few names, as their schemas have them; a shell offers these. */
import type { Command, Option } from 'commander';
import { z } from 'zod';

const CHOICES = new WeakMap<Option, readonly string[]>();

/** Notes the names of each option of `command` that is one of a few by its schema. @param shape schemas, by the names that commander gives options */
export function withChoices(command: Command, shape: Readonly<Record<string, z.ZodType>>): Command {
  for (const option of command.options) {
    const names = namesOf(shape[option.attributeName()]);
    if (names) CHOICES.set(option, names);
  }
  return command;
}

/** The names that an option may be, if these are few. */
export function choicesOf(option: Option): readonly string[] | undefined {
  return CHOICES.get(option);
}

function namesOf(schema: z.ZodType | undefined): readonly string[] | undefined {
  if (schema instanceof z.ZodEnum) return schema.options.map(String);
  if (schema instanceof z.ZodArray) return namesOf(schema.element as z.ZodType);
  return schema instanceof z.ZodOptional || schema instanceof z.ZodDefault ? namesOf(schema.unwrap() as z.ZodType) : undefined;
}
