import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { RunLock } from '#dist/train/run-lock.js';

type Child = ChildProcessByStdio<Writable, Readable, null>;

/** A process that takes and releases the lock when it is told to. */
interface Racer {
  readonly child: Child;
  readonly lines: AsyncIterator<string>;
}

function racer(run: string, ...host: readonly string[]): Racer {
  const child = spawn(process.execPath, ['test/support/race-for-lock.mjs', run, ...host], { stdio: ['pipe', 'pipe', 'inherit'] });
  return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
}

/** A process that asks for the lock, and what it says. */
async function ask(run: string): Promise<{ readonly child: Child; readonly said: string }> {
  const child = spawn(process.execPath, ['test/support/hold-lock.mjs', run], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [said] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return { child, said };
}

/** Gives the processes the word at once, and has an answer of each. */
async function tell(racers: readonly Racer[], word: string): Promise<string[]> {
  const answers = racers.map(async ({ lines }) => String((await lines.next()).value));
  for (const { child } of racers) child.stdin.write(`${word}\n`);
  return Promise.all(answers);
}

async function end(child: Child): Promise<void> {
  const ended = once(child, 'exit');
  child.stdin.end();
  if (child.exitCode === null) await ended;
}

describe('the lock of a run', () => {
  let run = '';
  const lock = () => join(run, 'lock');
  beforeEach(async () => {
    run = await mkdtemp(join(tmpdir(), 'detco-lock-'));
  });
  const racers: Racer[] = [];
  afterEach(async () => {
    await Promise.all(racers.splice(0).map(({ child }) => end(child)));
    await rm(run, { recursive: true });
  });

  const holder = async () => JSON.parse(await readFile(lock(), 'utf8')) as Record<string, unknown>;
  const write = (changed: object) => writeFile(lock(), `${JSON.stringify(changed)}\n`);

  test('is refused to a second process, which is told who has it, and free once that one is done', async () => {
    const own = await RunLock.take(run);
    const { child, said } = await ask(run);
    expect(said).toContain(`RunDirectoryError: "${run}" is in use: process ${process.pid} on ${hostname()} trains there since 20`);
    await end(child);
    expect(own.state()).toBe('there');
    await own.release();
    expect(await readdir(run)).toEqual([]);
    const next = await ask(run);
    expect(next.said).toBe('taken');
    await end(next.child);
    expect(await readdir(run)).toEqual([]);
  });

  test('of a process that was killed does not block', async () => {
    const { child, said } = await ask(run);
    expect(said).toBe('taken');
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    expect((await holder())['pid']).toBe(child.pid);
    const own = await RunLock.take(run);
    expect((await holder())['pid']).toBe(process.pid);
    await own.release();
  });

  test('of a process whose number another has got does not block', async () => {
    const first = await RunLock.take(run);
    const { began, ...mine } = await holder();
    await first.release();
    // Where the system does not tell when a process began, its number is all there is.
    if (began === undefined) return;
    await write({ ...mine, began: '1' });
    await (await RunLock.take(run)).release();
  });

  test.each(['host', 'namespace'])('of another %s counts until it has been silent for two minutes', async (name) => {
    const first = await RunLock.take(run);
    const mine = await holder();
    await first.release();
    await write({ ...mine, [name]: 'elsewhere', pid: 1 });
    const refused = RunLock.take(run);
    await expect(refused).rejects.toThrow('is in use: process 1 on ');
    await expect(refused).rejects.toThrow(`if it is no more, wait 120 s, or remove ${lock()}`);
    const now = Date.now() / 1000;
    await utimes(lock(), now, now - 121);
    await (await RunLock.take(run)).release();
  });

  // A folder that refuses even root.
  (existsSync('/sys/kernel') ? test : test.skip)('is refused in a folder that cannot be written, saying so', async () => {
    await expect(RunLock.take('/sys/kernel')).rejects.toThrow(
      /^"\/sys\/kernel" cannot be written \(E(ACCES|PERM|ROFS)\): make it a folder of yours/,
    );
  });

  test('of a process that only its number tells counts until it has been silent for two minutes: it may be another by then', async () => {
    const first = await RunLock.take(run);
    const { began: _began, ...mine } = await holder();
    await first.release();
    await write(mine);
    await expect(RunLock.take(run)).rejects.toThrow(`if it is no more, wait 120 s, or remove ${lock()}`);
    const now = Date.now() / 1000;
    await utimes(lock(), now, now - 121);
    await (await RunLock.take(run)).release();
  });

  test('tells a host from another of the same name, and from itself before it was started again', async () => {
    const own = await RunLock.take(run);
    const { namespace } = await holder();
    await own.release();
    // Where there is no /proc, the time of the lock decides.
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '');
    expect(namespace).toContain(boot.trim());
  });

  test('that holds nothing counts as one that is being made', async () => {
    await writeFile(lock(), '');
    await expect(RunLock.take(run)).rejects.toThrow('another process is about to train there');
  });

  test('left behind is taken by one of many processes that come at once', async () => {
    const { child } = await ask(run);
    child.kill('SIGKILL');
    await once(child, 'exit');
    const asked = await Promise.all(Array.from({ length: 6 }, () => ask(run)));
    const taken = asked.filter(({ said }) => said === 'taken');
    expect(taken).toHaveLength(1);
    expect(asked.filter(({ said }) => said.includes(`process ${taken[0]?.child.pid} on`))).toHaveLength(5);
    await Promise.all(asked.map((one) => end(one.child)));
    expect(await readdir(run)).toEqual([]);
  });

  test.each([
    ['lock', 1],
    ['lock, and of the one that was to replace it,', 2],
  ])('of many processes that come upon a void %s one has it, and the others are told which', async (_, dead) => {
    const killed = await ask(run);
    killed.child.kill('SIGKILL');
    await once(killed.child, 'exit');
    const gone = await holder();
    await rm(lock());
    racers.push(...Array.from({ length: 8 }, () => racer(run)));
    for (let round = 0; round < 100; round++) {
      let path = lock();
      for (let i = 0; i < dead; i++) {
        const id = randomUUID();
        await writeFile(path, `${JSON.stringify({ ...gone, id })}\n`);
        path = join(run, `.lock.${id}.next`);
      }
      const said = await tell(racers, 'take');
      const winners = racers.filter((__, i) => said[i] === 'taken');
      expect(winners.map(({ child }) => child.pid)).toHaveLength(1);
      expect(said.filter((one) => one.includes(`process ${winners[0]?.child.pid} on`))).toHaveLength(7);
      await tell(winners, 'release');
    }
    expect(await readdir(run)).toEqual([]);
  });

  test('of many hosts that come upon a silent lock one has it', async () => {
    racers.push(...Array.from({ length: 8 }, (_, i) => racer(run, `host-${i}`)));
    const gone = { host: 'gone', namespace: 'gone', pid: 1, began: '1', since: new Date(0).toISOString() };
    for (let round = 0; round < 200; round++) {
      await write({ ...gone, id: randomUUID() });
      await utimes(lock(), 0, 0);
      const said = await tell(racers, 'take');
      const winners = racers.filter((__, i) => said[i] === 'taken');
      expect(winners.map(({ child }) => child.pid)).toHaveLength(1);
      await tell(winners, 'release');
      // What a loser had begun counts for two minutes: its host is another's.
      await rm(lock(), { force: true });
    }
  });

  test('takes away what processes left that were killed while they asked for it, and nothing of those that live', async () => {
    const { child } = await ask(run);
    child.kill('SIGKILL');
    await once(child, 'exit');
    const gone = await holder();
    await rm(lock());
    const id = randomUUID();
    for (const name of [`.lock.${id}`, `.lock.${randomUUID()}.next`]) await writeFile(join(run, name), JSON.stringify({ ...gone, id }));
    await writeFile(join(run, '.lock.living'), JSON.stringify({ ...gone, id, pid: process.pid, began: undefined }));
    const own = await RunLock.take(run);
    expect(await readdir(run)).toEqual(['.lock.living', 'lock']);
    await own.release();
  });

  test('shows by its time that the process lives while its main thread is busy', async () => {
    const own = await RunLock.take(run, { everyMs: 5 });
    const before = statSync(lock()).mtimeMs;
    // The event loop has no turn from here on.
    const deadline = Date.now() + 30_000;
    while (statSync(lock()).mtimeMs === before && Date.now() < deadline);
    expect(statSync(lock()).mtimeMs).toBeGreaterThan(before);
    expect((await holder())['pid']).toBe(process.pid);
    await own.release();
  });

  test('that was taken by another is noticed, and left alone', async () => {
    const own = await RunLock.take(run);
    await rename(lock(), join(run, 'away'));
    expect(own.state()).toBe('gone');
    await write({ pid: 1 });
    expect(own.state()).toBe('replaced');
    await own.release();
    expect(await holder()).toEqual({ pid: 1 });
  });
});
