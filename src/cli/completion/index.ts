/**
 * `detco completion`: a script by which a shell completes `detco`. It holds all that there is to complete, so that no TAB starts Node: packages
 * that do this (`@bomb.sh/tab`, `@pnpm/tabtab`, `omelette`) call the program at each.
 */
import { Argument, Command } from 'commander';
import { inspectTfjs } from '../../engine/packages.js';
import { RUN_EVALUATIONS } from '../../eval/options.js';
import { STAGES } from '../../model/network/architecture.js';
import { LOG_NAMES } from '../../train/log/options.js';
import { bashScript } from './bash.js';
import { fishScript } from './fish.js';
import { type CommandNode, describeCommand, type Suggestions } from './tree.js';
import { zshScript } from './zsh.js';

const SHELLS: Readonly<Record<string, (program: CommandNode) => string>> = { bash: bashScript, zsh: zshScript, fish: fishScript };

/** @param createProgram all commands */
export function completionCommand(createProgram: () => Promise<Command>): Command {
  return new Command('completion')
    .description('write a script by which a shell completes commands, options and their values')
    .addArgument(new Argument('<shell>', 'whose script').choices(Object.keys(SHELLS)))
    .action(async (shell: string) => {
      const script = SHELLS[shell]?.(describeCommand(await createProgram(), await suggestions()));
      process.stdout.write(script ?? '');
    });
}

/** Presets are of methods, which load the tensor library: without it nothing can train by one. */
async function suggestions(): Promise<Suggestions> {
  const presets = inspectTfjs() === undefined ? (await import('../../train/index.js')).PRESET_NAMES : [];
  return {
    '--preset': presets,
    '--device': ['auto', 'cpu', 'cuda'],
    '--eval': RUN_EVALUATIONS,
    '--log': LOG_NAMES,
    '--stages': ['all', ...STAGES],
  };
}
