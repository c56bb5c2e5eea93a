/** What a run that would take years says of itself, while a single update takes long. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { detco } from './detco.js';

/** An update of seconds on one core of any machine. */
const CONFIG = `
preset: moco-v2-r50
engine: wasm
workers: 1
batch: 16
epochs: 1000000
method: { arch: resnet18, width: 32, queueSize: 65536, bnGroups: 2 }
recipe: { globalSize: 448 }
`;

test('tells how long an update has taken so far, then how long the run takes and what makes it faster', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'detco-outlook-'));
  try {
    const config = join(folder, 'config.yaml');
    await writeFile(config, CONFIG);
    const args = ['train', '--config', config, '--shards', 'fixtures/shards/val-000.tar', '--out', join(folder, 'run')];
    const { stderr } = await detco(args, { onLine: (line) => (line.includes(' to go, ') ? 'SIGTERM' : undefined) });
    const lines = stderr.split('\n');
    const at = (form: RegExp): number => lines.findIndex((line) => form.test(line));
    const order = [
      at(/^engine wasm: /),
      at(/^engine wasm computes on one core: it suits small networks and images$/),
      at(
        /^warning: queueSize 65536 is more than the about 432 images of an epoch: .*; use at most --queue-size 432; a fifth of that or less is better$/,
      ),
      at(/^update 1: \d+s so far$/),
      at(/^step 1\/~27000000 .* ETA \d+d\d\dh$/),
      at(
        /^warning: about \d+ (days|years) to go, at [\d.]+ images\/s \(update \d+ of about 27000000\)\. .*(--engine torch|npx detco engine build torch)/,
      ),
    ];
    expect(order).toEqual(order.toSorted((a, b) => a - b));
    expect(order).not.toContain(-1);
  } finally {
    await rm(folder, { recursive: true });
  }
}, 300_000);
