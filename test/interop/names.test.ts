/** What stands before the names of a backbone, in files of several projects. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { writeSafetensors } from '#dist/common/safetensors.js';
import { loadBackbone } from '#dist/interop/index.js';
import { toTorchLayout } from '#dist/model/network/parameters.js';

const RUN = 'fixtures/runs/detco-0.1';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-names-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** A file with the backbone of a run behind each prefix, whose first filter holds the prefix's place in the list. */
async function written(name: string, prefixes: readonly string[]): Promise<string> {
  const { tensors } = await loadBackbone(RUN);
  const path = join(folder, `${name}.safetensors`);
  const entries = prefixes.flatMap((prefix, place) =>
    [...tensors].map(([key, { shape, data }]) => {
      const torch = toTorchLayout({ values: key === 'conv1.weight' ? data.map(() => place) : data, shape });
      return [`${prefix}${key}`, { shape: torch.shape, data: async () => torch.values }] as const;
    }),
  );
  await writeSafetensors(path, new Map(entries));
  return path;
}

test.each([
  ['solo-learn', ['backbone.', 'momentum_backbone.']],
  ['solo-learn-0', ['encoder.', 'momentum_encoder.']],
  ['openselfsup-moco', ['backbone.', 'encoder_k.0.', 'encoder_q.0.']],
  ['openselfsup-byol', ['backbone.', 'target_net.0.', 'online_net.0.']],
  ['online-alone', ['online_net.0.', 'target_net.0.']],
  ['mmselfsup-moco', ['backbone.', 'encoder_k.module.0.']],
  ['mmselfsup-byol', ['backbone.', 'target_net.module.0.']],
  ['moco-v3', ['module.base_encoder.', 'module.momentum_encoder.']],
])('%s has a query and a momentum encoder', async (name, prefixes) => {
  const path = await written(name, prefixes);
  for (const [place, encoder] of (['query', 'key'] as const).entries()) {
    const { tensors, source } = await loadBackbone(path, { encoder });
    expect(source).toMatchObject({ encoder, prefix: prefixes[place] });
    expect(new Set(tensors.get('conv1.weight')?.data)).toEqual(new Set([place]));
    expect(source.leftOut.map(({ reason }) => reason)).toContain(encoder === 'query' ? 'the momentum encoder' : 'the query encoder');
  }
});

test.each(['_orig_mod.', 'module._orig_mod.', 'model.backbone.'])('%s is stripped', async (prefix) => {
  const { source } = await loadBackbone(await written(prefix, [prefix]));
  expect(source).toMatchObject({ prefix, leftOut: [] });
});
