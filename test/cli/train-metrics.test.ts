/**
 * What a run tells of itself is what docs/metrics.md says: each field of `metrics.jsonl`, and each metric of `--prometheus` as Prometheus'
 * own client reads it. Real processes.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { until } from '../support/bytes.js';
import { metricsLines } from '../support/metrics.js';
import { wherePythonHas } from '../support/python.js';
import { writeTestShards } from '../support/shards.js';
import { detco } from './detco.js';

jest.setTimeout(120_000);

const CONFIG = `
preset: tiny
engine: wasm
batch: 8
epochs: 400
lr: 0.1
method: { width: 4, dim: 8, queueSize: 24, bnGroups: 2 }
recipe: { globalSize: 16, patchSize: 8 }
lanes: 2
shuffle: 8
evalEvery: 1
knn: { bank: 8, queries: 8 }
`;

type Line = Readonly<Record<string, unknown>>;
type Row = Readonly<Record<string, string>>;

/** Rows of the first table behind a heading of docs/metrics.md, by the names of their columns; code without its backticks. */
async function table(heading: string): Promise<Row[]> {
  const [, section = ''] = (await readFile('docs/metrics.md', 'utf8')).split(`\n${heading}\n`);
  const lines = section.split('\n');
  const start = lines.findIndex((line) => line.startsWith('|'));
  const end = lines.findIndex((line, at) => at > start && !line.startsWith('|'));
  const cells = lines.slice(start, end).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim().replace(/^`([^`]*)`$/, '$1')),
  );
  const [head = [], , ...rows] = cells;
  return rows.map((row) => Object.fromEntries(head.map((name, at) => [name, row[at] ?? ''])));
}

const isType: Readonly<Record<string, (value: unknown) => boolean>> = {
  integer: Number.isSafeInteger,
  number: Number.isFinite,
  'numbers by name': (value) =>
    typeof value === 'object' && value !== null && Object.values(value).length > 0 && Object.values(value).every(Number.isFinite),
};

const python = wherePythonHas('prometheus_client');

describe('detco train', () => {
  let folder = '';
  let options: string[] = [];
  /** What a run with all evaluations served after an evaluation in which its probe had a part. */
  let served = { type: '', text: '', run: '', missing: 0, posted: 0 };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'detco-metrics-'));
    await writeFile(join(folder, 'config.yaml'), CONFIG);
    const shards = await writeTestShards(join(folder, 'shards'), { counts: [12, 12] });
    options = ['--config', join(folder, 'config.yaml'), '--shards', ...shards];
    // A name in which all is escaped that a label escapes.
    const run = join(folder, 'a "run" \\ of\nall');
    const stop = new AbortController();
    let scraped: Promise<void> | undefined;
    const scrape = async (url: string): Promise<void> => {
      try {
        let text = '';
        await until(async () => {
          const response = await fetch(url);
          text = await response.text();
          served = { ...served, type: response.headers.get('content-type') ?? '', text };
          return text.includes('\ndetco_evaluation_probe_top1_ratio ') || stop.signal.aborted;
        });
        const [elsewhere, posted] = await Promise.all([fetch(new URL('/', url)), fetch(url, { method: 'POST' })]);
        served = { ...served, run, missing: elsewhere.status, posted: posted.status };
      } finally {
        stop.abort();
      }
    };
    const all = ['--val-shards', ...shards, '--eval', 'knn,rank,linear', '--steps', '40', '--prometheus', ':0'];
    const { code, stderr } = await detco(['train', ...options, ...all, '--out', run], {
      onLine: (line) => {
        const url = /^metrics for Prometheus at (http:\/\/127\.0\.0\.1:\d+\/metrics)$/.exec(line)?.[1];
        if (url !== undefined) scraped = scrape(url);
        return undefined;
      },
    });
    stop.abort();
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    await scraped;
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const isUpdate = (line: Line): boolean => 'loss' in line;

  test.each([
    ['### Lines of updates', isUpdate],
    ['### Lines of evaluations', (line: Line) => !isUpdate(line)],
  ])('writes the fields of the page: %s', async (heading, ofThisKind) => {
    const rows = await table(heading);
    const lines = (await metricsLines<Line>(served.run)).filter(ofThisKind);
    expect(lines.length).toBeGreaterThan(10);
    // None that the page does not have, and all that it has.
    expect(new Set(lines.flatMap((line) => Object.keys(line)))).toEqual(new Set(rows.map(({ field }) => field)));
    for (const { field = '', type = '', 'when it is there': when } of rows) {
      const values = lines.flatMap((line) => (field in line ? [line[field]] : []));
      expect({ field, wrong: values.filter((value) => !isType[type]?.(value)) }).toEqual({ field, wrong: [] });
      if (when === 'always') expect({ field, there: values.length }).toEqual({ field, there: lines.length });
    }
  });

  test('writes no field that is not there always when nothing is evaluated', async () => {
    const plain = join(folder, 'plain');
    expect(await detco(['train', ...options, '--steps', '2', '--out', plain])).toMatchObject({ code: 0 });
    const always = (await table('### Lines of updates')).filter(({ 'when it is there': when }) => when === 'always');
    for (const line of await metricsLines<Line>(plain))
      expect(Object.keys(line).toSorted()).toEqual(always.map(({ field }) => field).toSorted());
  });

  python.test(`serves the metrics of the page, as Prometheus reads them${python.note}`, async () => {
    expect(served.type).toBe('text/plain; version=0.0.4; charset=utf-8');
    const file = join(folder, 'metrics.txt');
    await writeFile(file, served.text);
    type Family = { name: string; type: string; help: string; samples: { name: string; labels: Record<string, string>; value: number }[] };
    const families = await python.run<Family[]>('test/support/prometheus.py', file);
    // The client leaves _total out of a counter's name, and would add it where it is not.
    const found = families.map(({ name, type, samples }) => ({
      name: type === 'counter' ? `${name}_total` : name,
      type,
      labels: Object.keys(samples[0]?.labels ?? {}).join(', '),
    }));
    const rows = await table('## Prometheus');
    expect(found).toEqual(rows.map(({ name, type, labels }) => ({ name, type, labels })));
    for (const name of found.map((one) => one.name)) expect(served.text).toContain(`\n# TYPE ${name} `);
    for (const { help } of families) expect(help).not.toBe('');

    const value = (name: string): number | undefined => families.flatMap(({ samples }) => samples).find((one) => one.name === name)?.value;
    expect(families.find(({ name }) => name === 'detco_run_info')?.samples[0]?.labels).toEqual({ run: served.run });
    const step = value('detco_step') ?? NaN;
    const lines = (await metricsLines<Line>(served.run)).filter((line) => isUpdate(line) && Number(line['step']) <= step);
    const last = lines.at(-1) as Line;
    expect([value('detco_loss'), value('detco_learning_rate'), value('detco_updates_total')]).toEqual([last['loss'], last['lr'], step]);
    expect(value('detco_last_update_timestamp_seconds')).toBe(Number(last['timeMs']) / 1000);
    const waited = lines.reduce((sum, line) => sum + Number(line['dataWaitMs']), 0);
    expect(value('detco_data_wait_seconds_total')).toBeCloseTo(waited / 1000, 6);
    const terms = families.find(({ name }) => name === 'detco_loss_term')?.samples ?? [];
    expect(Object.fromEntries(terms.map(({ labels, value: term }) => [labels['term'], term]))).toEqual(last['terms']);
  });

  test('serves nothing else, and only to who reads', () => {
    expect([served.missing, served.posted]).toEqual([404, 405]);
  });

  test('refuses a port that is taken before anything is made', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => {
      other.listen(0, '127.0.0.1', resolve);
    });
    const { port } = other.address() as AddressInfo;
    const out = join(folder, 'taken');
    const { code, stderr } = await detco(['train', ...options, '--out', out, '--prometheus', `127.0.0.1:${port}`]);
    await new Promise((resolve) => other.close(resolve));
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(`port ${port} of 127.0.0.1 is taken by another program`) });
    expect(existsSync(out)).toBe(false);
  });

  test.each([':99999', '9400/metrics', 'http://127.0.0.1:9400', '::1:9400'])('refuses the address %s', async (address) => {
    const { code, stderr } = await detco(['train', ...options, '--prometheus', address]);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringContaining(`--prometheus "${address}": expected [HOST]:PORT with a port 0..65535; give for example`),
    });
  });
});
