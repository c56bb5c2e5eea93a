/** `detco train --ranks N`: starts the ranks of one machine itself, with the variables that torchrun would set. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { constants } from 'node:os';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { underNohup } from './nohup.js';
import { say } from './print.js';

/** How long the others have to see for themselves that a rank is gone, and then to end. */
const [SEE_MS, END_MS] = [25_000, 30_000];
/** What a line begins with that says why a command ends. */
const ERROR = 'detco: ';
const PASSED_ON = ['SIGINT', 'SIGTERM', 'SIGUSR1'] as const;

interface Ended {
  readonly rank: number;
  readonly code: number;
  readonly signal: NodeJS.Signals | null;
}

/**
 * Runs this command so many times, each a rank, until all have ended.
 * @returns the exit code: of the first that failed, or 0
 */
export async function startRanks(count: number): Promise<number> {
  const port = await freePort();
  const ranks = Array.from({ length: count }, (_, rank) => startRank(rank, count, port));
  for (const signal of [...PASSED_ON, ...(underNohup() ? [] : ['SIGHUP' as const])])
    process.on(signal, () => ranks.forEach((rank) => rank.kill(signal)));
  const held = ranks.map(holdErrors);
  const endings = ranks.map((child, rank) => ended(child, rank));
  const failed = await Promise.race([Promise.all(endings).then(() => undefined), firstFailure(endings)]);
  if (failed === undefined) return 0;
  if (failed.signal) say(`rank ${failed.rank} was ended by ${failed.signal}`);
  await settle(ranks, endings, SEE_MS);
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    for (const child of ranks) child.kill(signal);
    await settle(ranks, endings, END_MS);
  }
  const [first] = await Promise.all(endings);
  // It has said why all ended; where it was killed another has.
  if (first?.signal || first?.code === 0) for (const line of (await Promise.all(held)).flat()) process.stderr.write(`${line}\n`);
  return failed.code;
}

/** Ends this rank as a signal would when who started it is gone. */
export function endWithStarter(): void {
  if (!process.connected) return;
  process.channel?.unref();
  process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));
}

function startRank(rank: number, count: number, port: number): ChildProcess {
  const own = {
    RANK: rank,
    WORLD_SIZE: count,
    LOCAL_RANK: rank,
    MASTER_ADDR: '127.0.0.1',
    MASTER_PORT: port,
  };
  const variables = Object.fromEntries(Object.entries(own).map(([name, value]) => [name, String(value)]));
  // The first speaks for all; what others say is a warning, or why they end.
  return spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    // As a shell names it: of what tells a process that nohup started it, not all ranks have the rest.
    env: { ...process.env, ...variables, ...(underNohup() && { _: 'nohup' }) },
    stdio: rank === 0 ? ['inherit', 'inherit', 'inherit', 'ipc'] : ['ignore', 'ignore', 'pipe', 'ipc'],
  });
}

/** What others than the first say passes at once, but for what they end with: each says the same. */
async function holdErrors({ stderr }: ChildProcess): Promise<string[]> {
  const held: string[] = [];
  if (!stderr) return held;
  for await (const line of createInterface({ input: stderr })) {
    if (held.length > 0 || line.startsWith(ERROR)) held.push(line);
    else process.stderr.write(`${line}\n`);
  }
  return held;
}

function ended(child: ChildProcess, rank: number): Promise<Ended> {
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => resolve({ rank, code: code ?? 128 + constants.signals[signal ?? 'SIGTERM'], signal }));
  });
}

function firstFailure(endings: readonly Promise<Ended>[]): Promise<Ended> {
  return new Promise((resolve, reject) => {
    for (const ending of endings) ending.then((one) => one.code !== 0 && resolve(one), reject);
  });
}

/** Until all have ended, or so long. */
async function settle(ranks: readonly ChildProcess[], endings: readonly Promise<Ended>[], ms: number): Promise<void> {
  if (ranks.every(({ exitCode, signalCode }) => exitCode !== null || signalCode !== null)) return;
  const late = new AbortController();
  const all = Promise.all(endings).finally(() => late.abort());
  await Promise.race([all, setTimeout(ms, undefined, { signal: late.signal }).catch(() => undefined)]);
}

/** A port that nobody listens at. */
async function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
