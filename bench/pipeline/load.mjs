/** Compressed images of the shards, in memory. */
import { readShard } from '../../dist/pipeline/shard/read.js';

/** Up to `limit` images, in the order of the shards. */
export async function loadImages(shards, limit) {
  const images = [];
  for (const shard of shards) {
    for await (const { image } of readShard(shard)) {
      images.push(image);
      if (images.length === limit) return images;
    }
  }
  return images;
}
