/** What tests compare of a run of batches. */
import { createHash } from 'node:crypto';
import { createPipeline, type PipelineOptions, type PipelineState } from '#dist/pipeline/index.js';

export interface BatchDigest {
  readonly epoch: number;
  readonly step: number;
  readonly keys: readonly string[];
  readonly labels: readonly (number | undefined)[];
  /** SHA-256 over the bytes of all views. */
  readonly pixels: string;
  readonly state: PipelineState;
}

/** Runs a pipeline to its end, or for `most` batches. */
export async function digestBatches(options: PipelineOptions, most = Infinity): Promise<BatchDigest[]> {
  const digests: BatchDigest[] = [];
  for await (const batch of await createPipeline(options)) {
    const hash = createHash('sha256');
    for (const { data } of Object.values(batch.views)) hash.update(data);
    const { epoch, step, samples, state } = batch;
    digests.push({
      epoch,
      step,
      keys: samples.map(({ key }) => key),
      labels: samples.map(({ label }) => label),
      pixels: hash.digest('hex'),
      state,
    });
    if (digests.length === most) break;
  }
  return digests;
}
