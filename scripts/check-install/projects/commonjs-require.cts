/** A CommonJS project in strict TypeScript: the compiler makes a `require` of the import. Is given a shard. */
import { createPipeline, recipes } from 'detco/pipeline';

async function main([shards = '']: readonly string[]): Promise<void> {
  const recipe = recipes.mocoV2({ globalSize: 32 });
  for await (const { size, views } of await createPipeline({ shards, recipe, batchSize: 4, workers: 1, lanes: 1 })) {
    const shape: readonly [samples: number, height: number, width: number, channels: 3] = views.globalQ.shape;
    if (size !== 4 || shape.join(' ') !== '4 32 32 3') throw new Error(`${size} samples, of shape ${shape.join(' ')}`);
    return;
  }
  throw new Error('no batch');
}

void main(process.argv.slice(2));
