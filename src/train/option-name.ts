/** Names of a run's options in messages: whoever reads one has written the name in a program or a file, or a flag of `detco train`. */

/** Flags that are not the name itself. */
const FLAGS: ReadonlyMap<string, string> = new Map([
  ['batchSize', '--batch'],
  ['cacheDir', '--cache-dir'],
  ['cacheSize', '--cache-size'],
  ['checkpointEvery', '--checkpoint-every'],
  ['checkShards', '--check-shards'],
  ['classesFile', '--classes-file'],
  ['decodedCache', '--decoded-cache'],
  ['decodeMemory', '--decode-memory'],
  ['evalEvery', '--eval-every'],
  ['imageField', '--image-field'],
  ['indexDir', '--index'],
  ['labelField', '--label-field'],
  ['maxPixels', '--max-pixels'],
  ['method.queueSize', '--queue-size'],
  ['skipShards', '--skip-shards'],
  ['valShards', '--val-shards'],
]);

/** `batchSize (--batch)`; the name alone where the flag is the same, or there is none. */
export function optionName(name: string): string {
  const flag = FLAGS.get(name);
  return flag === undefined ? name : `${name} (${flag})`;
}
