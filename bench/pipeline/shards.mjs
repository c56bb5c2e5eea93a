/** Photograph-like shards that the benchmarks read, made once by `detco synth`. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** As many as a pipeline has lanes, so that each reads its own. */
const SHARDS = 16;

/** Paths of shards that hold at least `images` photographs together, as large and as hard to compress as ImageNet's. */
export async function benchShards(images) {
  const perShard = Math.ceil(images / SHARDS);
  const out = join(ROOT, '.cache', 'bench', `photo-${SHARDS}x${perShard}`);
  const found = async () => (await readdir(out).catch(() => [])).filter((name) => name.endsWith('.tar'));
  if ((await found()).length !== SHARDS) {
    process.stderr.write(`making ${SHARDS} shards of ${perShard} photographs in ${relative(process.cwd(), out)}\n`);
    await mkdir(out, { recursive: true });
    const options = ['--out', out, '--count', String(SHARDS * perShard), '--per-shard', String(perShard), '--photo'];
    const child = spawn(process.execPath, [join(ROOT, 'bin', 'detco.cjs'), 'synth', ...options], { stdio: ['ignore', 2, 2] });
    const [code] = await once(child, 'close');
    if (code !== 0) throw new Error(`detco synth ended with code ${code}; remove ${out} and run again`);
  }
  return (await found()).toSorted().map((name) => join(out, name));
}
