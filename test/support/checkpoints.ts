/** What checkpoints hold. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from '@jest/globals';

/** Expects the same tensors in the newest checkpoint of both runs, byte by byte. */
export async function expectSameTensors(run: string, other: string): Promise<void> {
  const names = (await readdir(join(run, 'last'))).filter((name) => name.endsWith('.safetensors'));
  expect(names.length).toBeGreaterThan(1);
  expect((await readdir(join(other, 'last'))).filter((name) => name.endsWith('.safetensors'))).toEqual(names);
  for (const name of names) {
    const [bytes, expected] = await Promise.all([run, other].map((path) => readFile(join(path, 'last', name))));
    expect({ name, same: expected !== undefined && bytes?.equals(expected) }).toEqual({ name, same: true });
  }
}
