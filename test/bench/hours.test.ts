/** What docs/reproducing.md says a preset costs, against the steps that were measured. */
import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { METHOD_PRESETS } from '#dist/model/index.js';

const IMAGES = 1_281_167;

interface Steps {
  readonly runs: readonly {
    readonly imagesPerSecond: number | null;
    readonly settings: { readonly batch: number; readonly precisions: readonly string[] };
  }[];
}

/** Images per second of the step that the page is about. */
function rateOf(file: string): number {
  const { runs } = JSON.parse(readFileSync(`bench/results/${file}`, 'utf8')) as Steps;
  const run = runs.find(({ settings: { batch, precisions } }) => batch === 256 && precisions.join() === 'bf16');
  return run?.imagesPerSecond ?? Number.NaN;
}

test('the hours of the presets follow from their epochs and from what was measured', () => {
  const page = readFileSync('docs/reproducing.md', 'utf8');
  const section = page.slice(page.indexOf('### What each preset costs'), page.indexOf('## What differs'));
  const rows = [...section.matchAll(/^\| `([\w-]+-r50)` +\| +(\d+) \| (.*?) +\| (.*?) +\|$/gm)].map((row) => row.slice(1));
  expect(rows.map(([preset]) => preset)).toContain('detco-r50');
  const rates = ['step-h100-2026-11-27.json', 'step-h200-2026-11-26.json'].map(rateOf);
  for (const [preset = '', epochs, ...hours] of rows) {
    expect({ preset, epochs: Number(epochs) }).toEqual({ preset, epochs: METHOD_PRESETS[preset]?.epochs });
    expect(hours).toEqual(rates.map((rate) => `${((Number(epochs) * IMAGES) / rate / 3600).toFixed(1)} hours`));
  }
});
