/** `--quiet`, of every command alike. */
import type { Command } from 'commander';
import { display } from './print.js';

/** Gives `command`, or each of those within it, the option. Actions need not look at it: all that is told goes through one display. */
export function withQuiet(command: Command): Command {
  for (const child of command.commands) withQuiet(child);
  if (command.commands.length > 0) return command;
  return command.option('-q, --quiet', 'no progress and no notes on stderr; warnings and errors stay').hook('preAction', (_, called) => {
    display.quiet = called.getOptionValue('quiet') === true;
  });
}
