import { describe, expect, test } from '@jest/globals';
import { ENGINE_NAMES, inspectEngines, selectEngine } from '#dist/engine/index.js';
import type { EngineName } from '#dist/engine/index.js';

describe('selectEngine', () => {
  test('takes the first available engine for auto', async () => {
    const first = (await inspectEngines()).find(({ available }) => available);
    const engine = await selectEngine('auto');
    expect(engine.name).toBe(first?.name);
    await engine.dispose();
  });

  test('quotes an unknown name and lists the known ones', async () => {
    await expect(selectEngine('cuda' as EngineName)).rejects.toThrow(
      'unknown engine "cuda": expected one of auto, wasm, tensorflow, torch',
    );
  });

  test.each([
    [{ precision: 'fp16' as 'bf16' }, 'unknown precision "fp16": did you mean "fp32" or "bf16"? Expected one of fp32, tf32, bf16'],
    [{ device: 'gpu' }, 'unknown device "gpu": expected auto, cpu, cuda, or one GPU such as cuda:1'],
    [{ threads: 0 }, 'threads 0: expected a whole number, 1..'],
    [{ threads: 5_000_000 }, 'threads 5000000: expected a whole number, 1..'],
  ])('refuses %j, which no engine has', async (options, message) => {
    await expect(selectEngine('auto', options)).rejects.toThrow(message);
  });

  test('says why an engine is not available and what to use', async () => {
    for (const { name, available, reason, remedy } of await inspectEngines()) {
      if (!available) await expect(selectEngine(name)).rejects.toThrow(`engine "${name}" is not available: ${reason}; ${remedy}`);
    }
  });
});

describe('inspectEngines', () => {
  test('reports every engine once, with a remedy for each that is missing', async () => {
    const reports = await inspectEngines();
    expect(reports.map(({ name }) => name).toSorted()).toEqual([...ENGINE_NAMES].toSorted());
    expect(reports.find(({ name }) => name === 'wasm')).toMatchObject({ available: true });
    for (const { available, reason, remedy } of reports) {
      expect([reason, remedy].every((text) => (text === undefined) === available)).toBe(true);
    }
  });
});
