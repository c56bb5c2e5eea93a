/** Runs a pipeline in a process of its own: options as JSON on the command line, one digest a batch as JSON on stdout. */
import { createHash } from 'node:crypto';
import { createPipeline, recipes } from 'detco/pipeline';

const { globalSize, patchSize, ...options } = JSON.parse(process.argv[2]);
const digests = [];
for await (const batch of await createPipeline({ ...options, recipe: recipes.detco({ globalSize, patchSize }) })) {
  const hash = createHash('sha256');
  for (const { data } of Object.values(batch.views)) hash.update(data);
  digests.push(`${batch.step} ${batch.samples.map(({ key }) => key).join()} ${hash.digest('hex')}`);
}
console.log(JSON.stringify(digests));
