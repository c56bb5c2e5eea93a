/** Which version of each shard a run reads: an epoch reads what the one before read, or it is another epoch than the seed says. */
import { printable } from '../common/printable.js';
import { identityOf } from './source/identity.js';
import type { FoundShard, VersionEvent } from './source/index.js';

export class SeenShards {
  /** With logins and signatures. */
  readonly #shards: readonly FoundShard[];
  /** Of those that were read or asked for, in this run or the one before, by location without login. */
  readonly #seen = new Map<string, VersionEvent>();

  /**
   * @param shards as they were found
   * @param expected the same as a run before saw them: one may be read for the first time hours after it was asked for; one that was not
   *   asked for, in another run
   */
  constructor(shards: readonly FoundShard[], expected: readonly FoundShard[] = []) {
    this.#shards = shards;
    for (const [i, shard] of shards.entries()) {
      const { location, version, bytes } = shard.version === undefined ? (expected[i] ?? shard) : shard;
      const url = identityOf(location);
      if (version !== undefined && url === identityOf(shard.location))
        this.#seen.set(url, { url, version, ...(bytes !== undefined && { bytes }) });
    }
  }

  /** @returns what ends the run, when a shard is another than it was */
  see(event: VersionEvent): Error | undefined {
    const { url, version } = event;
    const before = this.#seen.get(url);
    this.#seen.set(url, event);
    if (before === undefined || before.version === version) return undefined;
    return new Error(
      `${printable(url)}: the object was replaced since it was first read (${before.version} -> ${version}), so that its samples are others; put new data under a new name, and start again`,
    );
  }

  /** The shards without logins and signatures, with what is known of each by now. */
  found(): FoundShard[] {
    return this.#shards.map(({ location, bytes, version }) => {
      const url = identityOf(location);
      const seen = this.#seen.get(url);
      return { location: url, bytes: bytes ?? seen?.bytes, version: version ?? seen?.version };
    });
  }
}
