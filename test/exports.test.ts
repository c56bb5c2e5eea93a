/** Every way in that package.json promises, imported by name as a stranger does. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';

const run = promisify(execFile);

const WAYS_IN: Readonly<Record<string, readonly string[]>> = {
  detco: ['createPipeline', 'selectEngine', 'methodKind', 'train'],
  'detco/pipeline': ['createPipeline', 'joinStates', 'nextEpoch', 'recipes', 'SourceError', 'ShardError'],
  'detco/profile': ['measurePipeline', 'profileReport', 'ProfileRecorder', 'reportHtml', 'reportLines'],
  'detco/engine': ['selectEngine', 'inspectEngines'],
  'detco/model': ['methodKind', 'methodOptions', 'METHOD_PRESETS', 'Backbone'],
  'detco/train': ['train', 'augmentOnDevice', 'PRESET_NAMES', 'loadCheckpoint'],
  'detco/interop': ['loadBackbone', 'exportBackbone', 'importBackbone'],
};

test.each(Object.entries(WAYS_IN))('%s exports what it is for', async (name, expected) => {
  const program = `console.log(JSON.stringify(Object.keys(await import(${JSON.stringify(name)}))))`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', program]);
  expect(JSON.parse(stdout)).toEqual(expect.arrayContaining([...expected]));
});

test('package.json has no other way in', async () => {
  const { exports } = JSON.parse(await readFile('package.json', 'utf8')) as { exports: Record<string, unknown> };
  const names = Object.keys(exports).filter((path) => path !== './package.json');
  expect(names.map((path) => path.replace('.', 'detco')).toSorted()).toEqual(Object.keys(WAYS_IN).toSorted());
});
