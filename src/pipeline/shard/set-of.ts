/** Which shards are one set, by their names: `train-000017.tar` and `val-000017.tar` may both hold a sample 17. */

/** The number that ends the name of a shard, as in `train-000017.tar` or `train-00017-of-01024.tar`. */
const NUMBER = /\d+(?:-of-\d+)?\D*$/;

/** What the shards of a set have in common: their folder, and their name up to its number. */
export function setOf(shard: string): string {
  const [path = shard] = shard.split('?', 1);
  const name = path.lastIndexOf('/') + 1;
  return path.slice(0, name) + path.slice(name).replace(NUMBER, '');
}
