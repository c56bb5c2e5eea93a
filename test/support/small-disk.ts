/** Disks that are really full or read-only: small file systems in memory. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const quiet = { stdio: 'ignore' } as const;

/** @param size as `mount` reads it, such as `256k` */
export function mountDisk(path: string, size: string): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', path], quiet);
}

export function mountReadOnly(path: string): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'ro', 'tmpfs', path], quiet);
}

export function growDisk(path: string, size: string): void {
  execFileSync('mount', ['-o', `remount,size=${size}`, path], quiet);
}

export function unmountDisk(path: string): void {
  execFileSync('umount', [path], quiet);
}

/** Mounting needs root; without it a test should be reported as skipped. */
export function mayMount(): boolean {
  const path = mkdtempSync(join(tmpdir(), 'detco-mount-'));
  try {
    mountDisk(path, '256k');
    unmountDisk(path);
    return true;
  } catch {
    return false;
  } finally {
    rmdirSync(path);
  }
}
