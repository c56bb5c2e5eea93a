/**
 * A recipe of your own: the multi-crop of SwAV and DINO, two views of 96 pixels and six small crops of 36, and where in the image each
 * of them was cut out.
 *
 *     node custom-recipe.mjs SHARDS...
 */
import { createPipeline, recipes } from 'detco/pipeline';

const shards = process.argv.slice(2);
const { view1, view2 } = recipes.byol({ globalSize: 96 }).views;
/** @satisfies {import('detco/pipeline').Recipe} */
const recipe = {
  name: 'multi-crop',
  views: {
    view1,
    view2,
    small: {
      kind: /** @type {const} */ ('multicrop'),
      crops: 6,
      size: 36,
      crop: { op: /** @type {const} */ ('randomResizedCrop'), scale: /** @type {const} */ ([0.05, 0.25]), ratio: [3 / 4, 4 / 3] },
      operations: view1.operations, // in this order after each crop
    },
  },
};

const pipeline = await createPipeline({ shards, recipe, batchSize: 8, seed: 1 });
for await (const { views, plans, samples } of pipeline) {
  for (const [name, { shape }] of Object.entries(views)) console.log(`${name}: [${shape.join(', ')}]`);

  const [first] = samples;
  console.log(`of ${first?.key}:`);
  // A picture for each crop of each sample, in the order of views.small.data: the first six are of the first sample.
  for (const { image, box, flipped, steps } of [plans.view1[0], plans.view2[0], ...plans.small.slice(0, 6)]) {
    const share = (100 * box.width * box.height) / (image.width * image.height);
    const done = steps.map(({ op }) => op).join(', ');
    console.log(`  ${share.toFixed(0)} % of the image at ${box.left}, ${box.top}${flipped ? ', mirrored' : ''}: ${done}`);
  }
  break; // leaving the loop stops the workers
}
