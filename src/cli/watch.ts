/** `detco watch` */
import { stat } from 'node:fs/promises';
import { Command } from 'commander';
import { z } from 'zod';
import { quoted } from '../common/quoted.js';
import { DEFAULT_PORT } from '../watch/port.js';
import { serveWatch } from '../watch/server.js';
import { interruptible, Interrupted } from './interrupt.js';
import { portNumber } from './number.js';
import { printJson, printLines, say } from './print.js';
import { asUsageError, parseOptions, UsageError } from './usage-error.js';

const schema = z.object({
  port: portNumber(`--port ${DEFAULT_PORT}`),
  host: z.string().min(1, 'expected a host name or an address; give for example --host 0.0.0.0'),
  json: z.boolean().default(false),
});

async function assertFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch(() => undefined);
  if (found?.isDirectory()) return;
  const what = found === undefined ? 'there is no such folder' : 'this is a file';
  throw new UsageError(`${quoted(folder)}: ${what}; give a run, such as runs/first, or a folder of runs, such as runs`);
}

async function run(folders: readonly string[], flags: Readonly<Record<string, unknown>>): Promise<void> {
  const { port, host, json } = parseOptions(schema, flags);
  for (const folder of folders) await assertFolder(folder);
  await interruptible('stopped', async (signal) => {
    const server = await serveWatch({ folders, port, host }).catch(asUsageError('ListenError'));
    try {
      if (json) printJson({ url: server.url });
      else printLines([server.url]);
      say('Open this address in a browser; Ctrl-C ends the server and changes nothing in the runs.');
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve));
    } finally {
      await server.close();
    }
    // Ctrl-C is how it is meant to end.
    const reason: unknown = signal.reason;
    if (reason instanceof Interrupted) process.exitCode = reason.exitCode;
  });
}

export function watchCommand(): Command {
  return new Command('watch')
    .description('Show runs on a web page, live while they train.')
    .argument('<folder...>', 'runs, such as runs/first, or folders of runs')
    .option('--port <n>', 'to listen on; 0 is any that is free', String(DEFAULT_PORT))
    .option('--host <host>', 'to listen on; any but 127.0.0.1, ::1 and localhost asks browsers for a token', '127.0.0.1')
    .option('--json', 'print the address as one JSON object on stdout')
    .action(run);
}
