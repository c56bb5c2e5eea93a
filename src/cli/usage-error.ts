/** Arguments that cannot be used. */
import type { z } from 'zod';
import { PipelineOptionError } from '../pipeline/option-error.js';
import { quoted } from '../common/quoted.js';

/** Ends the command with exit code 2. The message quotes the value, says what was expected and what to do. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** For `catch`: errors of these names are about the arguments of the command. By name, for some come from another thread. */
export function asUsageError(...names: readonly string[]): (error: unknown) => never {
  return (error) => {
    throw error instanceof Error && names.includes(error.name) ? new UsageError(error.message, { cause: error }) : error;
  };
}

/**
 * For `catch`: what the pipeline refuses, in the words of the command.
 * @param flags those that stand for options of the pipeline
 */
export function asPipelineUsageError(flags: Readonly<Record<string, string>>): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof PipelineOptionError)) return asUsageError('RangeError')(error);
    const flag = flags[error.option];
    throw new UsageError(flag === undefined ? error.message : `${flag}: ${error.problem}`, { cause: error });
  };
}

/**
 * Options as commander collects them -> options as the command uses them. The schema's messages say what was expected
 * and what to do; the option and the value it got are put before them.
 *
 * @throws UsageError for the first option that does not parse
 */
export function parseOptions<Schema extends z.ZodType>(schema: Schema, options: Readonly<Record<string, unknown>>): z.output<Schema> {
  const parsed = schema.safeParse(options);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const path = issue?.path ?? [];
  const name = String(path[0] ?? '');
  const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  // Of a list the one value that does not parse.
  const value = path.reduce<unknown>((held, key) => (Object(held) as Record<PropertyKey, unknown>)[key], options);
  throw new UsageError(`${flag} ${value === undefined ? '(absent)' : quoted(value)}: ${issue?.message ?? 'not usable'}`);
}
