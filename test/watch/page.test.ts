/** The page in a real browser, over real run directories, the processes that write them and the server that is killed. */
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { AxeResults } from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { chromium } from '../support/chromium.js';
import { writeTestShards } from '../support/shards.js';
import { AXE, type Command, kill, launch, open, startDetco } from './browser.js';
import { appendMetrics, lineText, linesText, writeRun } from './metrics-file.js';

jest.setTimeout(300_000);

const TINY = ['--preset', 'tiny', '--engine', 'wasm', '--batch', '8', '--epochs', '40', '--workers', '1', '--lr', '0.1'];
const found = chromium === undefined ? test.skip : test;
const reason = chromium === undefined ? ' (skipped: no Chromium here; install one or set CHROME)' : '';

const SCHEME = 'getComputedStyle(document.documentElement).colorScheme';

const run = (page: Page, name: string) => page.locator('#runs li', { has: page.getByText(name, { exact: true }) });
const chart = (page: Page, name: string) => page.getByRole('slider', { name, exact: true });

/** What a curve of 10/step has come to when each value has `weight` times the part of the one after it. */
function smoothed(steps: number, weight: number): string {
  let [sum, total] = [0, 0];
  for (let step = 1; step <= steps; step++) {
    sum += weight ** (steps - step) * (10 / step);
    total += weight ** (steps - step);
  }
  return String(Number((sum / total).toPrecision(4)));
}

/** Resolves when the text of a run says a step for which `fits` holds. @returns the step */
async function untilStep(page: Page, name: string, fits: (step: number) => boolean): Promise<number> {
  for (;;) {
    const step = Number(/step (\d+)/.exec((await run(page, name).textContent()) ?? '')?.[1] ?? -1);
    if (fits(step)) return step;
    await page.waitForTimeout(100);
  }
}

describe('the page of detco watch', () => {
  let folder = '';
  let browser: Browser;
  const commands: Command[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'detco-watch-page-'));
    if (chromium !== undefined) browser = await launch();
  });
  afterEach(async () => {
    for (const command of commands.splice(0)) await kill(command, 'SIGKILL');
    for (const context of browser?.contexts() ?? []) await context.close();
  });
  afterAll(async () => {
    await browser?.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function start(...args: readonly string[]): Promise<Command> {
    const command = await startDetco(args);
    commands.push(command);
    return command;
  }

  found(`shows a training while it goes on, and says when it has ended${reason}`, async () => {
    const shards = await writeTestShards(join(folder, 'shards'), { counts: [12, 12, 12, 12] });
    const out = join(folder, 'trained');
    const training = await start('train', '--shards', ...shards, ...TINY, '--out', out, '--watch', '0');
    const { page, faults } = await open(browser, training.url);
    const first = await untilStep(page, 'trained', (step) => step > 0);
    await untilStep(page, 'trained', (step) => step >= first + 3);
    expect(await chart(page, 'Loss').getAttribute('aria-valuetext')).toMatch(/^step \d+: trained \d/);
    for (const name of ['Term gg.res5', 'Learning rate', 'Images per second', 'Memory of the process', 'Deviation of queries'])
      expect(await chart(page, name).getAttribute('aria-valuetext')).toMatch(/: trained \d/);
    expect(await page.getByRole('list', { name: 'Pipeline of trained' }).textContent()).toMatch(/Ready batches[0-3]of 3 slots/);
    expect(await run(page, 'trained').textContent()).toContain('detco · resnet18 · wasm · batch 8 · 40 epochs');
    const views = page.getByAltText('Views of trained: a column a sample, a row a view');
    await views.waitFor();
    // Eight columns of three patches of 24 pixels, four pixels between them.
    expect(await views.evaluate('document.querySelector("#pictures img").naturalWidth')).toBe(8 * 3 * 28);
    await kill(training, 'SIGINT');
    expect(training.child.exitCode).toBe(130);
    await page.getByText(/^Not connected to 127\.0\.0\.1:\d+, trying again/).waitFor();
    expect(await chart(page, 'Loss').getAttribute('aria-valuetext')).toMatch(/: trained \d/);
    expect(faults).toEqual([]);
  });

  found(`draws runs over each other, of which any can be left out, by keys alone${reason}`, async () => {
    const runs = join(folder, 'runs');
    await writeRun(join(runs, 'first'), linesText(1, 40));
    await writeRun(join(runs, 'second'), linesText(1, 25));
    const { url } = await start('watch', runs, '--port', '0');
    const { page, faults } = await open(browser, url);
    const loss = chart(page, 'Loss');
    await loss.and(page.locator('[aria-valuetext="step 40: first 0.25, second 0.4"]')).waitFor();
    await loss.focus();
    for (const [key, told] of [
      ['Home', 'step 1: first 10, second 10'],
      ['ArrowRight', 'step 2: first 5, second 5'],
      ['Shift+ArrowRight', 'step 12: first 0.8333, second 0.8333'],
      ['ArrowLeft', 'step 11: first 0.9091, second 0.9091'],
      ['End', 'step 40: first 0.25, second 0.4'],
    ] as const) {
      await page.keyboard.press(key);
      expect(await loss.getAttribute('aria-valuetext')).toBe(told);
    }
    await page.keyboard.press('+');
    await page.getByRole('button', { name: 'Show all of x' }).click();
    await run(page, 'first').getByRole('checkbox').focus();
    await page.keyboard.press('Space');
    await loss.and(page.locator('[aria-valuetext="step 25: second 0.4"]')).waitFor();
    await page.getByRole('radio', { name: 'Step' }).focus();
    await page.keyboard.press('ArrowRight');
    await loss.and(page.locator('[aria-valuetext="after 2.5 epochs: second 0.4"]')).waitFor();
    await page.keyboard.press('ArrowRight');
    await loss.and(page.locator('[aria-valuetext^="after 0.1 s: second"]')).waitFor();
    await page.getByRole('slider', { name: 'Smoothing' }).focus();
    await page.keyboard.press('End');
    await loss.and(page.locator(`[aria-valuetext="after 0.1 s: second ${smoothed(25, 0.99)}"]`)).waitFor();
    await page.getByLabel('Log scale').check();
    expect(await page.getByRole('row', { name: /^Loss/ }).textContent()).toBe('Loss0.4');
    // What was chosen is there after a reload.
    await page.reload();
    await loss.and(page.locator(`[aria-valuetext="after 0.1 s: second ${smoothed(25, 0.99)}"]`)).waitFor();
    expect(await run(page, 'first').getByRole('checkbox').isChecked()).toBe(false);
    expect(faults).toEqual([]);
  });

  found(`waits for data, counts epochs from 0, and explains the short names of what comes${reason}`, async () => {
    const runs = join(folder, 'later');
    await mkdir(runs);
    const { url } = await start('watch', runs, '--port', '0');
    const { page, faults } = await open(browser, url);
    const waiting = (heading: string) =>
      page.getByRole('heading', { name: heading, exact: true }).locator('xpath=../p').getByText('Waiting for data');
    await page.getByText(`${runs} is no run and holds none`).waitFor();
    await waiting('Runs').waitFor();
    await waiting('Latest values').waitFor();
    const terms = { 'gg.res4': 1, 'gg.res5': 1, 'gl.res5': 1 };
    const update = { step: 1, epoch: 0, loss: 3, terms, lr: 0.1, queues: { compressed: 7, full: 2 } };
    const evaluation = { step: 0, epoch: 0, knnTop1: 0.25, knnTop1ByStage: { res5: 0.25 } };
    const path = await writeRun(join(runs, 'new'), [evaluation, update].map((line) => `${JSON.stringify(line)}\n`).join(''));
    await run(page, 'new').getByText('step 1 · epoch 0 · live', { exact: true }).waitFor();
    await waiting('Runs').waitFor({ state: 'hidden' });
    await waiting('Latest values').waitFor({ state: 'hidden' });
    expect(await page.locator('#charts h3').allTextContents()).toEqual([
      'Loss',
      'kNN accuracy',
      'kNN accuracy, res5',
      'Learning rate',
      'Term gg.res4',
      'Term gg.res5',
      'Term gl.res5',
      'Queue: compressed',
      'Queue: full',
    ]);
    const stages = 'res2 to res5: stages of the backbone';
    const [gg, gl] = ['gg: whole image against whole images', 'gl: patch set against whole images'];
    const section = page.getByRole('region', { name: 'Terms of the loss' });
    expect(await section.locator('.note').textContent()).toBe([gg, gl, stages].join('; '));
    const described = (name: string) => chart(page, name).and(page.locator('[aria-describedby]')).locator('xpath=../p').textContent();
    expect(await described('Term gl.res5')).toBe([gl, stages].join('; '));
    expect(await described('Queue: compressed')).toBe('compressed: samples in the shuffle buffers');
    await appendMetrics(path, lineText({ step: 11 }));
    await run(page, 'new').getByText('step 11 · epoch 1 · live', { exact: true }).waitFor();
    await run(page, 'new').getByRole('checkbox').uncheck();
    await page.getByText('No run is chosen').waitFor();
    expect(faults).toEqual([]);
  });

  found(`regains a server that was killed, without doubling a point${reason}`, async () => {
    const path = await writeRun(join(folder, 'lost'), linesText(1, 20));
    const first = await start('watch', path, '--port', '0');
    const { page } = await open(browser, first.url);
    await untilStep(page, 'lost', (step) => step === 20);
    await kill(first, 'SIGKILL');
    await page.getByText(/^Not connected to/).waitFor();
    await appendMetrics(path, linesText(21, 30));
    await start('watch', path, '--port', new URL(first.url).port);
    await page.getByText('Connected', { exact: true }).waitFor();
    await untilStep(page, 'lost', (step) => step === 30);
    const loss = chart(page, 'Loss');
    await loss.focus();
    await page.keyboard.press('Home');
    for (let step = 2; step <= 30; step++) {
      await page.keyboard.press('ArrowRight');
      expect(await loss.getAttribute('aria-valuetext')).toMatch(new RegExp(`^step ${step}: `));
    }
  });

  found(`says what is wrong with runs and goes on${reason}`, async () => {
    await mkdir(join(folder, 'nothing'));
    const path = await writeRun(join(folder, 'deleted'), `${linesText(1, 5)}no line\n${linesText(6, 6).slice(0, 30)}`);
    const { url } = await start('watch', path, join(folder, 'nothing'), '--port', '0');
    const { page } = await open(browser, url);
    await untilStep(page, 'deleted', (step) => step === 5);
    await page.getByText(`${join(folder, 'nothing')} is no run and holds none`).waitFor();
    await page.getByText('1 lines of metrics.jsonl cannot be read and are passed over.').waitFor();
    await rm(path, { recursive: true });
    await page.getByText(`${path} is gone: deleted or moved.`).waitFor();
    expect(await chart(page, 'Loss').getAttribute('aria-valuetext')).toBe('step 5: deleted 2');
    await writeRun(join(folder, 'nothing/late'), linesText(1, 7));
    await untilStep(page, 'late', (step) => step === 7);
    await page.getByText('is no run and holds none').waitFor({ state: 'detached' });
  });

  found(`opens with the token that a server on another host asks for${reason}`, async () => {
    const path = await writeRun(join(folder, 'shared'), linesText(1, 5));
    const { url } = await start('watch', path, '--port', '0', '--host', '0.0.0.0');
    const { page } = await open(browser, url.replace('0.0.0.0', '127.0.0.1'));
    await untilStep(page, 'shared', (step) => step === 5);
    expect(page.url()).not.toContain('token');
  });

  describe.each([
    { width: 1280, colorScheme: 'light' },
    { width: 1280, colorScheme: 'dark' },
    { width: 400, colorScheme: 'light' },
    { width: 400, colorScheme: 'dark' },
  ] as const)('at $width pixels, $colorScheme', ({ width, colorScheme }) => {
    found(`fits the window and has no fault that an accessibility checker calls serious${reason}`, async () => {
      const runs = join(folder, 'seen');
      await writeRun(join(runs, 'a-run-with-a-rather-long-name-as-people-give-them'), linesText(1, 40));
      await writeRun(join(runs, 'damaged'), `${linesText(1, 5)}{}\n`);
      const { url } = await start('watch', runs, '--port', '0');
      const { page } = await open(browser, url, { width, colorScheme });
      await untilStep(page, 'damaged', (step) => step === 5);
      await chart(page, 'Loss').waitFor();
      const scheme = await page.evaluate(SCHEME);
      expect(scheme).toBe(colorScheme);
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
      // As a debugger does, for the page takes no script from elsewhere.
      await page.evaluate(await readFile(AXE, 'utf8'));
      const { violations } = await page.evaluate<AxeResults>('axe.run()');
      expect(violations.map(({ id, impact, nodes }) => ({ id, impact, at: nodes.map(({ html }) => html) }))).toEqual([]);
      const other = colorScheme === 'light' ? 'dark' : 'light';
      await page.getByLabel('Theme').selectOption(other);
      expect(await page.evaluate(SCHEME)).toBe(other);
    });
  });
});
