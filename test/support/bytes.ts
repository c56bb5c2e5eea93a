import { Random } from '#dist/pipeline/plan/random.js';

/** Repeatable noise: no two places of it look the same, so a splice or a shift shows. */
export function noise(bytes: number, seed = 1): Buffer {
  const random = new Random(seed);
  const words = Uint32Array.from({ length: Math.ceil(bytes / 4) }, () => random.uint32());
  return Buffer.from(words.buffer, 0, bytes);
}

export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

/** Resolves when a condition holds, looked at on every turn of the event loop; the test's own limit is the timeout. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setImmediate(resolve));
}
