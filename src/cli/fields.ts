/** `--image-field`, `--label-field`, `--classes-file`: which members of a sample are what, in all commands alike. */
import type { Command } from 'commander';
import { z } from 'zod';
import type { PipelineOptions } from '../pipeline/index.js';
import { readClassNames } from '../pipeline/shard/class-names.js';
import { reasonOf } from '../pipeline/source/source.js';
import { UsageError } from './usage-error.js';

type Fields = Pick<PipelineOptions, 'imageField' | 'labelField' | 'classNames'>;

const field = (example: string) => z.string().min(1, `expected what follows the key of a sample; give for example ${example}`).optional();

/** For the schema of a command that has the options. */
export const fieldShape = {
  imageField: field('--image-field input.jpg'),
  labelField: field('--label-field cls'),
  classesFile: z.string().min(1, 'expected a file; give for example --classes-file shards/classes.txt').optional(),
};

export function addFieldOptions(command: Command): Command {
  return command
    .option(
      '--image-field <field>',
      'what follows the key of a sample in the name of its image, such as input.jpg (default: its one image)',
    )
    .option('--label-field <field>', 'the same of its label (default: cls)')
    .option('--classes-file <file>', 'names of the classes 0, 1, ... a line each, where labels are names (such as classes.txt)');
}

/** @throws UsageError for a file that is no list of class names */
export async function readFields({
  imageField,
  labelField,
  classesFile,
}: {
  readonly imageField?: string | undefined;
  readonly labelField?: string | undefined;
  readonly classesFile?: string | undefined;
}): Promise<Fields> {
  const classNames =
    classesFile === undefined
      ? undefined
      : await readClassNames(classesFile).catch((error: unknown) => {
          throw new UsageError(`--classes-file ${reasonOf(error)}`, { cause: error });
        });
  return {
    ...(imageField !== undefined && { imageField }),
    ...(labelField !== undefined && { labelField }),
    ...(classNames && { classNames }),
  };
}
