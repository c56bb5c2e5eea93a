/** `detco`: parses, calls, prints. Exit codes: 0 done, 1 a run that failed, 2 unusable arguments, 129, 130 or 143 stopped by SIGHUP, SIGINT or SIGTERM. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { withoutSecrets } from '../pipeline/source/identity.js';
import { tellStarter } from './ranks.js';
import { Interrupted } from './interrupt.js';
import { openFilesAdvice } from './open-files.js';
import { display } from './print.js';
import { withQuiet } from './quiet.js';
import { printableLines } from '../common/printable.js';

/** Each is loaded when it is asked for: to load what all of them import takes longer than many a command runs. */
const COMMANDS = new Map<string, () => Promise<Command>>([
  ['train', async () => (await import('./train.js')).trainCommand()],
  ['eval', async () => (await import('./eval.js')).evalCommand()],
  ['profile', async () => (await import('./profile.js')).profileCommand()],
  ['shard', async () => (await import('./shard.js')).shardCommand()],
  ['index', async () => (await import('./index.js')).indexCommand()],
  ['verify', async () => (await import('./verify.js')).verifyCommand()],
  ['synth', async () => (await import('./synth.js')).synthCommand()],
  ['watch', async () => (await import('./watch.js')).watchCommand()],
  ['views', async () => (await import('./views.js')).viewsCommand()],
  ['export', async () => (await import('./export.js')).exportCommand()],
  ['import', async () => (await import('./import.js')).importCommand()],
  ['engine', async () => (await import('./engine.js')).engineCommand()],
  ['doctor', async () => (await import('./doctor.js')).doctorCommand()],
  ['completion', async () => (await import('./completion/index.js')).completionCommand(createProgram)],
]);

const FAILED = 1;
const UNUSABLE = 2;
const UNUSABLE_KINDS: ReadonlySet<unknown> = new Set(['missing', 'malformed']);
const VERSION_FLAGS = ['-V', '--version'];

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
    .configureOutput({ outputError: (text, write) => write(printableLines(withoutSecrets(text)).replace(/^error: /, 'detco: ')) });
}

/** What the pipeline warns of, which Node would print with its own words around; Node's own warnings stay Node's. */
function showOurWarnings(): void {
  const nodes = process.listeners('warning');
  process.removeAllListeners('warning');
  process.on('warning', (warning) => {
    if (warning.name === 'Warning') display.warn(warning.message);
    else for (const listener of nodes) listener(warning);
  });
}

/** The commands that arguments may mean: the one that comes first, none with the version, else all, as in help and suggestions. */
async function commandsFor(first = ''): Promise<Command[]> {
  if (VERSION_FLAGS.includes(first)) return [];
  const named = COMMANDS.get(first);
  return Promise.all((named === undefined ? [...COMMANDS.values()] : [named]).map((load) => load()));
}

async function createProgram(first?: string): Promise<Command> {
  const program = new Command('detco')
    .description('DetCo pre-training: tar shards to contrastive views to a pre-trained ResNet.')
    .version(version(), VERSION_FLAGS.join(', '));
  for (const command of await commandsFor(first)) program.addCommand(withQuiet(command));
  return withExitOverride(program);
}

/** The message; with DETCO_DEBUG in the environment where it came from, too. An argument that it quotes may hold a login. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return withoutSecrets(String(error));
  const cause = openFilesAdvice(error.message);
  const message = process.env['DETCO_DEBUG'] ? (error.stack ?? error.message) : error.message;
  return withoutSecrets([...(cause === undefined ? [] : [cause]), message].join('\n'));
}

function exitCodeOf(error: unknown): number {
  if (error instanceof Interrupted) return error.exitCode;
  // Shards that were named and are not there, or cannot be: what is lost later comes with a report, or as a failure of data.
  const unusable = error instanceof Error && (error.name === 'UsageError' || ('kind' in error && UNUSABLE_KINDS.has(error.kind)));
  return unusable ? UNUSABLE : FAILED;
}

showOurWarnings();
try {
  const program = await createProgram(process.argv[2]);
  await program.parseAsync();
  display.end();
} catch (error) {
  display.end(true);
  if (error instanceof CommanderError) {
    // Commander has printed its message; help and --version end with 0.
    process.exitCode = error.exitCode === 0 ? 0 : UNUSABLE;
  } else {
    const reason = printableLines(describe(error));
    if (!tellStarter({ reason, interrupted: error instanceof Interrupted })) process.stderr.write(`detco: ${reason}\n`);
    process.exitCode = exitCodeOf(error);
  }
}
