import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { ProfileReport, SweepPoint, Trace } from '#dist/pipeline/profile/index.js';
import { checkTrace } from '../pipeline/profile/trace.js';
import { chromium, dumpDom } from '../support/chromium.js';
import { startHttp } from '../support/http.js';
import { writeTestShards } from '../support/shards.js';
import { expectSameTensors } from '../support/checkpoints.js';
import { detco } from './detco.js';

const SHARDS = 'fixtures/shards/*.tar';
/** Views so small that one core makes hundreds a second. */
const SMALL = ['--global-size', '32', '--patch-size', '16'];

interface Printed extends ProfileReport {
  readonly sweep?: readonly SweepPoint[];
  readonly knee?: number;
}

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-profile-'));
});

afterAll(() => rm(folder, { recursive: true }));

async function profile(...args: string[]): Promise<Printed> {
  const { code, stdout, stderr } = await detco(['profile', '--json', ...args]);
  expect({ code, stderr: stderr.replaceAll(/^measuring .*\n|^\d+ workers?: .*\n/gm, '') }).toEqual({ code: 0, stderr: '' });
  const report = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as Printed;
  const shares = report.stages.flatMap(({ shareOfWaiting = [] }) => shareOfWaiting);
  expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 6);
  return report;
}

describe('detco profile finds what limits a pipeline', () => {
  test('a network that brings a tenth of what the pipeline can take', async () => {
    const paths = await writeTestShards(join(folder, 'remote'), { counts: Array.from({ length: 16 }, () => 12) });
    const shards = new Map<string, Buffer>(
      await Promise.all(paths.map(async (path) => [`/${basename(path)}`, await readFile(path)] as const)),
    );
    // Each of the 16 lanes gets a shard of 12 images in 3 s: 64 images/s in all.
    const pieces = 60;
    const server = await startHttp((request, response) => {
      const body = shards.get(request.url ?? '') ?? Buffer.alloc(0);
      const size = Math.ceil(body.byteLength / pieces);
      response.writeHead(200, { 'content-length': body.byteLength, etag: `"${request.url}"` });
      let sent = 0;
      const timer = setInterval(() => {
        response.write(body.subarray(sent, sent + size));
        sent += size;
        if (sent >= body.byteLength) response.end();
      }, 50);
      response.on('close', () => clearInterval(timer));
    });
    try {
      const urls = [...shards.keys()].map((path) => server.url + path);
      const report = await profile('--shards', ...urls, '--seconds', '6', '--batch', '16', '--consume', '1000', ...SMALL);
      expect(report.bindingResource).toBe('network');
      expect(report.verdict).toMatch(/^HIGHLY input-bound: .* held up by the network/);
      expect(report.nextStep).toContain('--cache-dir');
      expect(report.dataWaitShare).toBeGreaterThan(0.5);
      const share = Object.entries(report.waitShares).toSorted(([, a], [, b]) => b - a)[0];
      expect(share?.[0]).toBe('source');
    } finally {
      await server.close();
    }
  });

  test('too few workers for a consumer that wants far more', async () => {
    const report = await profile('--shards', SHARDS, '--seconds', '4', '--batch', '16', '--workers', '1', '--consume', '100000');
    expect(report.bindingResource).toBe('cores');
    expect(report.verdict).toMatch(/^HIGHLY input-bound: .* held up by the cores/);
    // With one core to use, or others on the machine, another worker is no help.
    if (report.setup.cores >= 2 && report.utilisation.cores < 0.9) expect(report.nextStep).toMatch(/^Use \d+ workers \(--workers \d/);
    else expect(report.nextStep).toMatch(/cores/);
  });

  test('a consumer that takes a tenth of what the pipeline can give', async () => {
    const [html, json] = [join(folder, 'report.html'), join(folder, 'trace.json')];
    const args = ['--shards', SHARDS, '--seconds', '4', '--batch', '8', '--consume', '16', '--report', html, '--trace', json, ...SMALL];
    const report = await profile(...args);
    expect(report.bindingResource).toBe('consumer');
    expect(report.dataWaitShare).toBeLessThan(0.05);
    expect(report.verdict).toMatch(/^NOT input-bound: /);
    expect(report.nextStep).toMatch(/^Nothing to gain in the pipeline: your consumer is the limit/);
    expect(report.supply.measured).toBe(true);
    expect(report.supply.imagesPerSecond).toBeGreaterThan(32);
    expect(report.ifDataWereFree?.imagesPerSecond).toBeGreaterThan(0);

    const trace = JSON.parse(await readFile(json, 'utf8')) as Trace;
    const threads = checkTrace(trace);
    expect(threads.slice(0, 2)).toEqual(['consumer', 'worker 0']);
    expect(threads.filter((name) => /^worker \d+ lane \d+ (fetch|read|find|place)$/.test(name))).toHaveLength(4 * 16);
    const names = new Set(trace.traceEvents.map(({ name }) => name));
    for (const name of ['decode', 'augment', 'augment.patchesQ', 'slot', 'wait', 'step', 'full batches']) expect(names).toContain(name);
    const page = await readFile(html, 'utf8');
    expect(page).not.toMatch(/<script|https?:|url\(|@import|src=/i);
    expect(page).toContain('NOT input-bound');
  });
});

describe('the HTML report', () => {
  const found = chromium === undefined ? test.skip : test;
  const reason = chromium === undefined ? ' (skipped: no Chromium here; install one or set CHROME)' : '';

  found(`draws every figure within its frame and the page within its window, in light and dark${reason}`, async () => {
    const html = join(folder, 'drained.html');
    await profile('--shards', SHARDS, '--seconds', '2', '--batch', '16', '--sweep', '--report', html, ...SMALL);
    const page = join(folder, 'measured.html');
    await writeFile(page, `${await readFile(html, 'utf8')}<script>(${measurePage.toString()})()</script>`);
    for (const flags of [[], ['--blink-settings=preferredColorScheme=0']]) {
      const dom = await dumpDom(pathToFileURL(page).href, join(folder, `browser-${flags.length}`), flags);
      const { scheme, ...layout } = JSON.parse(/<body data-layout="([^"]*)"/.exec(dom)?.[1]?.replaceAll('&quot;', '"') ?? '{}') as Layout;
      expect(scheme).toBe(flags.length === 0 ? 'light' : 'dark');
      expect(layout).toEqual({ figures: 5, outside: [], scrolls: false, faint: [] });
    }
  });
});

interface Layout {
  readonly figures: number;
  /** Texts that are drawn outside of their figure. */
  readonly outside: readonly string[];
  readonly scrolls: boolean;
  /** Texts with less contrast than 4.5:1 (WCAG 2.2, 1.4.3). */
  readonly faint: readonly string[];
  readonly scheme: 'light' | 'dark';
}

/** Runs in the browser. */
function measurePage(): void {
  const { document, getComputedStyle, matchMedia, innerWidth } = globalThis as unknown as BrowserWindow;
  const figures = [...document.querySelectorAll('svg')];
  const outside = figures.flatMap((figure) => {
    const frame = figure.getBoundingClientRect();
    return [...figure.querySelectorAll('text')]
      .filter((text) => {
        const box = text.getBoundingClientRect();
        return box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
      })
      .map(({ textContent }) => textContent);
  });
  const luminance = (colour: string): number => {
    const [r = 0, g = 0, b = 0] = (colour.match(/[\d.]+/g) ?? []).map((part) => {
      const value = Number(part) / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const page = luminance(getComputedStyle(document.body).backgroundColor);
  const faint = [...document.querySelectorAll('p, td, th, dt, dd, b, span, h1, h2, text')]
    .filter((one) => {
      const style = getComputedStyle(one);
      const ink = luminance(one.tagName === 'text' ? style.fill : style.color);
      return (Math.max(ink, page) + 0.05) / (Math.min(ink, page) + 0.05) < 4.5;
    })
    .map(({ textContent }) => textContent);
  const scrolls = document.documentElement.scrollWidth > innerWidth;
  const scheme = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  document.body.setAttribute('data-layout', JSON.stringify({ figures: figures.length, outside, scrolls, faint, scheme }));
}

/** What `measurePage` uses of a browser: the tests are compiled without its types. */
interface BrowserElement {
  readonly tagName: string;
  readonly textContent: string;
  readonly scrollWidth: number;
  getBoundingClientRect(): { readonly left: number; readonly right: number; readonly top: number; readonly bottom: number };
  querySelectorAll(selector: string): Iterable<BrowserElement>;
  setAttribute(name: string, value: string): void;
}

interface BrowserWindow {
  readonly innerWidth: number;
  readonly document: BrowserElement & { readonly body: BrowserElement; readonly documentElement: BrowserElement };
  getComputedStyle(element: BrowserElement): { readonly color: string; readonly fill: string; readonly backgroundColor: string };
  matchMedia(query: string): { readonly matches: boolean };
}

describe('detco profile', () => {
  test('prints a table and compares numbers of workers', async () => {
    const { code, stdout } = await detco(['profile', '--shards', SHARDS, '--seconds', '1', '--batch', '16', '--sweep', ...SMALL]);
    expect(code).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    expect(lines.filter((line) => line.length > 100)).toEqual([]);
    expect(lines[0]).toMatch(/^SUPPLY [\d.]+ images\/s, limited by /);
    expect(stdout).toMatch(/^-> /m);
    expect(stdout).toMatch(/^stage +visits +p50/m);
    expect(stdout).toMatch(/^workers +images\/s +cores\n +1 /m);
    expect(stdout.match(/<- enough/g)).toHaveLength(1);
  });

  test.each(['--report', '--trace'])('takes no file of something else for %s', async (option) => {
    const file = join(folder, 'config.json');
    await writeFile(file, '{"version": 1}');
    const { code, stdout, stderr } = await detco(['profile', '--shards', SHARDS, option, file, ...SMALL]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(`${option} "${file}": this file is there and no`);
    expect(await readFile(file, 'utf8')).toBe('{"version": 1}');
  });

  test.each([
    [['--consume', '-3'], '--consume "-3": expected a number above 0'],
    [['--seconds', 'ten'], '--seconds "ten": expected a number above 0'],
    [['--recipe', 'dino'], '--recipe "dino": expected one of detco, mocoV2, mocoV1, simclr, byol, rotation, jigsaw, insloc'],
    [['--recipe', 'byol', '--patch-size', '16'], '--patch-size 16 with --recipe byol, which has no patches'],
    [['--workers', '99'], '--workers: 99 workers for 16 lanes'],
    [['--batch', '5000', ...SMALL], '--batch: 5000 is more than the'],
  ])('refuses %j', async (args, message) => {
    const { code, stdout, stderr } = await detco(['profile', '--shards', SHARDS, ...args]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(message);
  });
});

describe('detco train --profile', () => {
  // 48 samples, six steps an epoch; a checkpoint and an evaluation in the middle of what is measured.
  const CONFIG = `
preset: tiny
engine: wasm
batch: 8
epochs: 2
method: { width: 4, dim: 8, queueSize: 64, bnGroups: 2 }
recipe: { globalSize: 16, patchSize: 8 }
checkpointEvery: 4
keepCheckpoints: 9
lanes: 4
shuffle: 8
`;

  test('prints the report and trains as without it', async () => {
    const shards = await writeTestShards(join(folder, 'train'), { counts: [12, 12, 12, 12] });
    const config = join(folder, 'config.yaml');
    await writeFile(config, CONFIG);
    const args = ['train', '--config', config, '--shards', ...shards, '--val-shards', ...shards, '--json', '--out'];
    const [plain, measured, html] = [join(folder, 'plain'), join(folder, 'measured'), join(folder, 'training.html')];
    const without = await detco([...args, plain]);
    const outcome = await detco([...args, measured, '--profile', html]);
    expect([without.code, outcome.code]).toEqual([0, 0]);

    const { profile: report } = JSON.parse(outcome.stdout) as { readonly profile: ProfileReport };
    // The first update is not counted.
    expect(report).toMatchObject({ steps: 11, images: 88, drained: false, epochFirst: { count: 1 } });
    expect(report.ifDataWereFree?.imagesPerSecond).toBeGreaterThan(0);
    expect(outcome.stderr).toContain('of step time waited for data');
    expect(outcome.stderr).toMatch(/^stage +visits +p50/m);
    expect(await readFile(html, 'utf8')).toContain('input-bound');
    const taken = await detco([...args, join(folder, 'other'), '--profile', join(plain, 'metrics.jsonl')]);
    expect(taken).toMatchObject({ code: 2, stderr: expect.stringContaining('this file is there and no HTML page') });

    await expectSameTensors(measured, plain);
    expect(await losses(measured)).toEqual(await losses(plain));
  });
});

async function losses(run: string): Promise<unknown[]> {
  const lines = (await readFile(join(run, 'metrics.jsonl'), 'utf8')).trimEnd().split('\n');
  return lines.map((line) => {
    const { step, loss, knnTop1 } = JSON.parse(line) as Record<string, unknown>;
    return [step, loss, knnTop1];
  });
}
