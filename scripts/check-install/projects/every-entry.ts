/** Every entry point of the package, imported and used in a strict TypeScript project. Is given a shard. */
import { createPipeline as fromRoot } from 'detco';
import { type EngineReport, inspectEngines } from 'detco/engine';
import { EXPORT_FORMATS, type ExportFormat } from 'detco/interop';
import { METHOD_NAMES, methodKind } from 'detco/model';
import { type Batch, createPipeline, type PipelineOptions, recipes } from 'detco/pipeline';
import { measurePipeline, profileReport, type ProfileReport } from 'detco/profile';
import { PRESET_NAMES, resolveConfig, type TrainConfig } from 'detco/train';

const [shards = ''] = process.argv.slice(2);
const recipe = recipes.detco({ globalSize: 32, patchSize: 16 });
const options = { shards, recipe, batchSize: 4, workers: 1, lanes: 1 } as const satisfies PipelineOptions;

async function main(): Promise<void> {
  let shape: readonly [samples: number, patches: 9, height: number, width: number, channels: 3] | undefined;
  for await (const batch of await createPipeline(options)) {
    const any: Batch = batch;
    if (any.size === 4) shape = batch.views.patchesQ.shape;
    break;
  }
  expectEqual('the shape of patches', shape?.join(' '), '4 9 16 16 3');

  const { measured } = await measurePipeline({ ...options, slots: 2 }, { seconds: 0.2 });
  const report: ProfileReport = profileReport(measured);
  expectEqual('the verdict', typeof report.verdict, 'string');
  const engines: readonly EngineReport[] = await inspectEngines();
  expectEqual('the engine wasm', engines.find(({ name }) => name === 'wasm')?.available, true);
  const format: ExportFormat | undefined = EXPORT_FORMATS[0];
  expectEqual('the first format', format, 'torchvision');
  expectEqual('methods by name', METHOD_NAMES.map((name) => methodKind(name).name).join(' '), METHOD_NAMES.join(' '));
  const config: TrainConfig = resolveConfig({ preset: 'tiny', shards: [shards] });
  expectEqual('the preset', PRESET_NAMES.includes('tiny') && config.method.name, 'detco');
  expectEqual('createPipeline of detco', fromRoot, createPipeline);
}

function expectEqual(what: string, found: unknown, expected: unknown): void {
  if (found !== expected) throw new Error(`${what}: ${String(found)}, expected ${String(expected)}`);
}

await main();
