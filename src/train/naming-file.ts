/** What is wrong with an option is often seen far from the file that has it, where engine, method and data meet: messages name the file at last. */
import { isOptions, type Options } from '../common/options.js';
import type { TrainOptions } from './beginning.js';
import { NESTED } from './merge.js';
import { OptionsError } from './options-error.js';

/** For `catch`: an error about options names the config file that has them, unless it does so or the caller gives them, too. */
export function namingFile({ file = {}, filePath, ...given }: TrainOptions): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof OptionsError) || filePath === undefined || error.message.includes(filePath)) throw error;
    const overridden = new Set(namesOf(given));
    const named = namesOf(file).filter((name) => !overridden.has(name) && mentions(error.message, name));
    if (named.length === 0) throw error;
    throw new OptionsError(`${error.message} (${filePath} has ${named.join(', ')})`, { cause: error });
  };
}

/** With a dot before what is nested. */
function namesOf(options: Options): string[] {
  return Object.entries(options).flatMap(([key, value]) => {
    if (value === undefined) return [];
    return NESTED.has(key) && isOptions(value) ? Object.keys(value).map((inner) => `${key}.${inner}`) : [key];
  });
}

/** As a word of its own. */
function mentions(message: string, name: string): boolean {
  return message.split(/[^\w.]+/).some((word) => word === name || word === `${name}.`);
}
