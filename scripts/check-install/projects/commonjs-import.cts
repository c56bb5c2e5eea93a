/** A CommonJS project for a Node that cannot `require` modules: it imports the package as it runs. Is given a shard. */
import type { Batch } from 'detco/pipeline' with { 'resolution-mode': 'import' };

async function main([shards = '']: readonly string[]): Promise<void> {
  const { createPipeline, recipes } = await import('detco/pipeline');
  const recipe = recipes.mocoV2({ globalSize: 32 });
  for await (const batch of await createPipeline({ shards, recipe, batchSize: 4, workers: 1, lanes: 1 })) {
    const any: Batch = batch;
    if (any.size !== 4 || batch.views.globalQ.shape.join(' ') !== '4 32 32 3') throw new Error(`${any.size} samples`);
    return;
  }
  throw new Error('no batch');
}

void main(process.argv.slice(2));
