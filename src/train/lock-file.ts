/** The text of a lock: which process has it, and whether that one lives. */
import { randomUUID } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { type FileHandle, lstat, open } from 'node:fs/promises';
import { hostname } from 'node:os';
import { z } from 'zod';
import { codeOf } from '../common/error-code.js';
import { RunDirectoryError } from './run-directory-error.js';

/** Silence after which a process that cannot be looked up counts as gone: twelve beats. */
const SILENCE_MS = 120_000;

const holderSchema = z.object({
  /** Of this lock: none has had it before. */
  id: z.uuid(),
  host: z.string(),
  /** Where the number means this process: the start of the system, and the container. Empty where the system does not tell. */
  namespace: z.string(),
  pid: z.int(),
  /** When the process began, in ticks since the machine did: a number is given to another process once its owner has ended. */
  began: z.string().optional(),
  since: z.string(),
});
export type Holder = z.output<typeof holderSchema>;

export interface FoundLock {
  /** Of this file: one that takes its place has another. */
  readonly id: string;
  /** Undefined when what the file holds says nothing. */
  readonly holder: Holder | undefined;
  readonly mtimeMs: number;
}

/** A name alone does not tell hosts apart: many are called localhost. */
function processNamespace(): string {
  try {
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return '';
  }
}

/** State letter and beginning of a process, where the system tells: proc_pid_stat(5), fields 3 and 22. */
function processFacts(pid: number): { readonly state: string; readonly began: string } | undefined {
  try {
    // The name in parentheses may hold anything.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\)/s, '').trim().split(' ');
    return { state: fields[0] ?? '', began: fields[19] ?? '' };
  } catch {
    return undefined;
  }
}

/** This process, as the holder of another lock at each call. */
export function self(): Holder {
  const { pid } = process;
  const facts = processFacts(pid);
  const since = new Date().toISOString();
  return { id: randomUUID(), host: hostname(), namespace: processNamespace(), pid, ...(facts && { began: facts.began }), since };
}

/** What the file of a lock holds. */
export function lockText(holder: Holder): string {
  return `${JSON.stringify(holder)}\n`;
}

function lives({ pid, began }: Holder): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (codeOf(error) === 'ESRCH') return false;
  }
  const facts = processFacts(pid);
  if (facts === undefined) return true;
  // One that was killed keeps its number until its parent has looked.
  const dead = facts.state === 'Z' || facts.state === 'X';
  return !dead && (began === undefined || began === facts.began);
}

export async function readLock(path: string): Promise<FoundLock | undefined> {
  try {
    const named = await lstat(path);
    if (!named.isFile())
      throw new RunDirectoryError(
        `"${path}" is a ${named.isDirectory() ? 'folder' : 'link'}: expected the lock of a run, a file; remove it`,
      );
    await using file = await open(path);
    return await readOpened(file);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Text and time of one file: by its name the text may be of the lock that has just taken the place of another, whose time was read. */
async function readOpened(file: FileHandle): Promise<FoundLock> {
  const { ino, mtimeMs } = await file.stat();
  const holder = parse(await file.readFile('utf8'));
  return { id: holder?.id ?? `${ino}-${mtimeMs}`, holder, mtimeMs };
}

function parse(text: string): Holder | undefined {
  try {
    return holderSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/**
 * For how many milliseconds a lock still counts if nothing more is heard of its process: 0 of one that is void, Infinity of a process that
 * was looked up and lives.
 * @param now by the clock of the file system that gave the lock its time
 */
export function remainingMs({ holder, mtimeMs }: FoundLock, now: number, own: Holder): number {
  const here = holder !== undefined && holder.host === own.host && holder.namespace === own.namespace;
  if (here && !lives(holder)) return 0;
  return here && holder.began !== undefined ? Infinity : Math.max(0, SILENCE_MS - (now - mtimeMs));
}
