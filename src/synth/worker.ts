/** What runs in a synth thread: a run of consecutive samples. */
import sharp from 'sharp';
import type { ShardMember } from '../pipeline/shard/write.js';
import { makeSample, type SampleOptions } from './sample.js';

export interface SynthTask {
  readonly options: SampleOptions;
  readonly first: number;
  readonly count: number;
}

// The pool is as wide as the machine already; libvips is not to add threads of its own.
sharp.concurrency(1);

/** An image is encoded off the thread while the next is drawn. */
export default async function makeSamples({ options, first, count }: SynthTask): Promise<ShardMember[][]> {
  return Promise.all(Array.from({ length: count }, (_, i) => makeSample(options, first + i)));
}
