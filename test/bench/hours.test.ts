/** What docs/reproducing.md says a preset costs, against the steps that were measured. */
import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { type MethodInput, METHOD_PRESETS, methodOptions } from '#dist/model/index.js';
import { type RecipeOptions, recipeOptionsSchema } from '#dist/pipeline/augment/recipe-options.js';
import { viewShape } from '#dist/pipeline/augment/recipe.js';
import { trainingRecipe } from '#dist/train/training-recipe.js';

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

/** Forward and backward; forward alone. */
const [TRAINED, KEYS] = [3, 1];
/** How often each view of a method passes through the backbone; of one that is pasted onto another the other does not. */
const PASSES: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  detco: { globalQ: TRAINED, patchesQ: TRAINED, globalK: KEYS, patchesK: KEYS },
  moco: { globalQ: TRAINED, globalK: KEYS },
  densecl: { globalQ: TRAINED, globalK: KEYS },
  'patch-reid': { globalQ: TRAINED, globalK: KEYS },
  insloc: { foregroundQ: TRAINED, foregroundK: KEYS, backgroundQ: 0, backgroundK: 0 },
  byol: { view1: TRAINED + KEYS, view2: TRAINED + KEYS },
};

/** Of an image, in images of 224 pixels. */
function passesOf(preset: string): number {
  const { method, recipe } = METHOD_PRESETS[preset] ?? {};
  const options = methodOptions(method as MethodInput);
  const { views } = trainingRecipe({ recipe: recipeOptionsSchema.parse(recipe) as RecipeOptions, method: options });
  const passes = Object.entries(views).map(([name, view]) => {
    const times = PASSES[options.name] ? PASSES[options.name]?.[name] : TRAINED;
    const pixels = viewShape(view).reduce((product, extent) => product * extent, 1 / 3);
    return ((times ?? Number.NaN) * pixels) / 224 ** 2;
  });
  return passes.reduce((sum, of) => sum + of, 0);
}

test('the hours of the presets follow from their epochs, from what was measured and from what passes through the backbone', () => {
  const page = readFileSync('docs/reproducing.md', 'utf8');
  const section = page.slice(page.indexOf('### What each preset costs'), page.indexOf('## What differs'));
  const rows = [...section.matchAll(/^\| `([\w-]+-r50)` +\| +(\d+) \| +([\d.]+) \| (.*?) +\| (.*?) +\|$/gm)].map((row) => row.slice(1));
  const full = Object.keys(METHOD_PRESETS).filter((name) => name.endsWith('-r50'));
  expect(rows.map(([preset]) => preset).toSorted()).toEqual(full.toSorted());
  const rates = ['step-h100-2026-11-27.json', 'step-h200-2026-11-26.json'].map(rateOf);
  for (const [preset = '', epochs, passes, ...hours] of rows) {
    const known = { preset, epochs: METHOD_PRESETS[preset]?.epochs, passes: passesOf(preset).toFixed(1) };
    expect({ preset, epochs: Number(epochs), passes }).toEqual(known);
    const share = passesOf(preset) / passesOf('detco-r50');
    const expected = rates.map((rate) => ((Number(epochs) * IMAGES) / rate / 3600) * share);
    expect(hours).toEqual(expected.map((of) => (preset === 'detco-r50' ? `${of.toFixed(1)} hours` : `about ${of.toFixed(0)} hours`)));
  }
});
