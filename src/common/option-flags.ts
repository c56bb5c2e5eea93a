/**
 * Flags of `detco train`. Each stands with the schema of its option, wherever the option's owner has it: the help, the names in
 * messages and the bounds that a number's text is read by follow from both.
 */
import { z } from 'zod';

export interface OptionFlag {
  readonly flag: `--${string}`;
  readonly help: string;
  /** Of a number or a folder: a value that messages give for an example. */
  readonly example?: string;
  /** The highest number that makes sense on this machine, where options that were saved on another may have more. */
  readonly most?: number;
}

export const optionFlags = z.registry<OptionFlag>();
