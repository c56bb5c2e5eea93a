/** `detco`: parses, calls, prints. Exit codes: 0 done, 1 a run that failed, 2 unusable arguments, 129, 130 or 143 stopped by SIGHUP, SIGINT or SIGTERM. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { withoutSecrets } from '../pipeline/source/identity.js';
import { doctorCommand } from './doctor.js';
import { engineCommand } from './engine.js';
import { indexCommand } from './index.js';
import { Interrupted } from './interrupt.js';
import { profileCommand } from './profile.js';
import { shardCommand } from './shard.js';
import { synthCommand } from './synth.js';
import { trainCommand } from './train.js';
import { verifyCommand } from './verify.js';
import { viewsCommand } from './views.js';

const FAILED = 1;
const UNUSABLE = 2;

function version(): string {
  return (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version;
}

/** Commander's own errors must reach `main` from every subcommand, which do not inherit `exitOverride` when added. */
function withExitOverride(command: Command): Command {
  for (const child of command.commands) withExitOverride(child);
  return command
    .exitOverride()
    .showHelpAfterError('(--help lists the options)')
    .showSuggestionAfterError()
    .configureOutput({ outputError: (text, write) => write(withoutSecrets(text)) });
}

function createProgram(): Command {
  const program = new Command('detco')
    .description('DetCo pre-training: tar shards to contrastive views to a pre-trained ResNet.')
    .version(version());
  const commands = [
    trainCommand(),
    profileCommand(),
    shardCommand(),
    indexCommand(),
    verifyCommand(),
    synthCommand(),
    viewsCommand(),
    engineCommand(),
    doctorCommand(),
  ];
  for (const command of commands) program.addCommand(command);
  return withExitOverride(program);
}

/** The message; with DETCO_DEBUG in the environment where it came from, too. An argument that it quotes may hold a login. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return withoutSecrets(String(error));
  return withoutSecrets(process.env['DETCO_DEBUG'] ? (error.stack ?? error.message) : error.message);
}

function exitCodeOf(error: unknown): number {
  if (error instanceof Interrupted) return error.exitCode;
  return error instanceof Error && error.name === 'UsageError' ? UNUSABLE : FAILED;
}

try {
  await createProgram().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // Commander has printed its message; help and --version end with 0.
    process.exitCode = error.exitCode === 0 ? 0 : UNUSABLE;
  } else {
    process.stderr.write(`detco: ${describe(error)}\n`);
    process.exitCode = exitCodeOf(error);
  }
}
