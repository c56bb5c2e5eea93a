/**
 * One rank that talks on the host: `node talk.mjs '{"rank": 0, "size": 3, "port": 29500, "does": "fail"}'`. Prints what it heard.
 * With `until` it goes on after they have met once that file is there.
 */
import { access } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { openCompany } from '../../dist/engine/torch/company.js';

async function isThere(path) {
  for (;;) {
    const found = await access(path).then(
      () => true,
      () => false,
    );
    if (found) return;
    await setTimeout(20);
  }
}

const { rank, size, port, does, until, startMs = 60_000 } = JSON.parse(process.argv[2] ?? '');
const tell = (heard) => process.stdout.write(`${JSON.stringify(heard)}\n`);
const place = { rank, size, localRank: rank, host: '127.0.0.1', port, attempt: '0' };
const company = await openCompany(place, { startMs }).catch((error) => tell({ refused: error.message }));
if (typeof company === 'object') {
  try {
    tell({ met: await company.exchange({ rank, twice: 2 * rank }) });
    if (does === 'die' && rank === 1) process.kill(process.pid, 'SIGKILL');
    if (does === 'fail' && rank === 1) throw new Error('the disk of this one is full');
    if (until) await isThere(until);
    tell({ again: await company.exchange(rank) });
  } catch (error) {
    tell({ ended: (await company.explain(error, 'Try again')).message });
  }
  await company[Symbol.asyncDispose]();
}
