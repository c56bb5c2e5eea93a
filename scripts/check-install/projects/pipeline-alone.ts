/** What works where the peer dependencies were left out, in a strict TypeScript project. Is given a shard. */
import { EXPORT_FORMATS } from 'detco/interop';
import { createPipeline, recipes } from 'detco/pipeline';
import { measurePipeline, profileReport } from 'detco/profile';

const [shards = ''] = process.argv.slice(2);
const options = { shards, recipe: recipes.simclr({ globalSize: 32 }), batchSize: 4, workers: 1, lanes: 1 };
await using pipeline = await createPipeline(options);
for await (const { views } of pipeline) {
  const shape: readonly [samples: number, height: number, width: number, channels: 3] = views.view1.shape;
  if (shape.join(' ') !== '4 32 32 3' || views.view1.data.length !== 4 * 32 * 32 * 3)
    throw new Error(`view1 has the shape ${shape.join(' ')}`);
  break;
}
const { measured } = await measurePipeline(options, { seconds: 0.2 });
if (profileReport(measured).verdict === '' || !EXPORT_FORMATS.includes('detectron2')) throw new Error('no verdict, or no formats');
