/** Reads the samples of a shard, one after another, while its bytes arrive. */
import { type LaneMeters, TASK, timed } from '../profile/lane-meters.js';
import { STAGE } from '../profile/stages.js';
import { openShard, type OpenOptions } from '../source/index.js';
import { SampleGrouper, type SampleFields, type ShardSample } from './group.js';
import type { LeftOut } from './left-out.js';
import { type TarEnd, TarReader } from './tar/reader.js';

export interface ReadOptions extends Pick<OpenOptions, 'signal' | 'onRetry' | 'cache' | 'onCache' | 'onVersion'> {
  /** Which members are images and labels. */
  readonly fields?: SampleFields | undefined;
  /** Yield each image as a sample, whatever else has its key; see `GroupOptions`. */
  readonly everyImage?: boolean;
  /** Yield only samples whose `index % parts === part`; the images of others are skipped without being kept. */
  readonly part?: { readonly part: number; readonly parts: number };
  /** Begins at a sample in the middle of the shard: its `start`, its ordinal, and whether it is `repeated`. */
  readonly from?: Pick<ShardSample, 'start' | 'index' | 'repeated'>;
  /** Byte before which to stop: the `start` of a sample, or the size of the shard. */
  readonly end?: number;
  /** Told of everything between the first and the last byte that is part of no sample, in order, of all parts; and of an end that is none. */
  readonly onLeftOut?: (leftOut: LeftOut) => void;
  /** Called after the last sample. */
  readonly onEnd?: (end: TarEnd) => void;
  /** Told how long bytes are waited for. */
  readonly meters?: LaneMeters;
}

/**
 * Streams the samples of the tar archive at `location`. A sample is a run of neighbouring members with the same key, of
 * which one is an image (`.jpg`, `.jpeg`, `.png` or `.webp`, any case) and one may be a label (`KEY.cls`). The official
 * ImageNet class archives read the same way. Leaving the iteration closes the file or the socket.
 * @throws ShardError for bytes that are not a tar archive or end within one; SourceError when they cannot be read;
 * the signal's reason when it is aborted
 */
export async function* readShard(
  location: string,
  { signal, part, from, end, onEnd, onLeftOut = () => {}, meters, fields, everyImage = false, ...reading }: ReadOptions = {},
): AsyncGenerator<ShardSample, void, undefined> {
  signal?.throwIfAborted();
  const first = from?.start ?? 0;
  const range = { start: first, ...(end !== undefined && { end }) };
  const bytes = openShard(location, { ...range, ...(signal && { signal }), ...reading });
  const metered = meters
    ? timed(bytes, meters, { task: TASK.fetch, stage: STAGE.source, onItem: (chunk) => meters.bytes(STAGE.source, chunk.byteLength) })
    : bytes;
  const archive = new TarReader(location, metered, first);
  const wanted = (index: number): boolean => !part || index % part.parts === part.part;
  const samples = new SampleGrouper({ fields, everyImage, first: from?.index ?? 0, firstRepeated: from?.repeated, wanted, onLeftOut });
  const content = (): Promise<Buffer> => archive.content();
  try {
    for (let member = await archive.next(); member; member = await archive.next()) {
      signal?.throwIfAborted();
      yield* samples.add(member, content);
    }
    yield* samples.end();
    const ending = archive.end as TarEnd;
    if (ending.trailing !== undefined) {
      const problem = `${ending.bytes - ending.trailing} bytes behind the end of the archive are no members; if something was appended, use tar -A`;
      onLeftOut({ kind: 'tail behind the end', offset: ending.trailing, problem });
    }
    if (!ending.marked) {
      const problem =
        'ends without the two empty blocks that end an archive; it was cut off between two members, or its writer was stopped: copy or make it again';
      onLeftOut({ kind: 'archive without end', offset: ending.bytes, problem });
    }
    if (samples.count === 0) {
      const problem = 'has no sample; expected members such as KEY.jpg (or .jpeg, .png, .webp), with KEY.cls for the class';
      onLeftOut({ kind: 'shard without sample', offset: first, problem });
    }
    onEnd?.(ending);
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    await archive.close();
  }
}
