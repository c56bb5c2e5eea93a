/** Starts the ranks of a test, each a process. */
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A port that nobody listens at. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** `node ARGS` to its end. */
export function runNode(args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<Ended> {
  return runCommand(process.execPath, args, env);
}

export function runCommand(file: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<Ended> {
  const child = spawn(file, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, stderr]: [string[], string[]] = [[], []];
  child.stdout.on('data', (text: Buffer) => stdout.push(text.toString()));
  child.stderr.on('data', (text: Buffer) => stderr.push(text.toString()));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout: stdout.join(''), stderr: stderr.join('') }));
  });
}

/** What each of `size` ranks of a script prints as JSON. */
export async function runRanks<T>(script: string, size: number, task: object): Promise<T[]> {
  const port = await freePort();
  const ended = await Promise.all(
    Array.from({ length: size }, (_, rank) => runNode([script, JSON.stringify({ ...task, rank, size, port })])),
  );
  const failed = ended.find(({ code }) => code !== 0);
  if (failed) throw new Error(`a rank ended with ${failed.code}: ${failed.stderr}`);
  return ended.map(({ stdout }) => JSON.parse(stdout) as T);
}
