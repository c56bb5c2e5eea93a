/** Bytes that arrive in chunks of any size, taken in pieces of any other. */
export class ChunkReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #chunk: Uint8Array = new Uint8Array();
  #used = 0;
  #at: number;

  /** @param start what the first byte counts as */
  constructor(chunks: AsyncIterable<Uint8Array>, start: number) {
    this.#chunks = chunks[Symbol.asyncIterator]();
    this.#at = start;
  }

  /** The byte that comes next. */
  get at(): number {
    return this.#at;
  }

  /** The next bytes, fewer where they end; in memory that is valid until more are taken. */
  async take(bytes: number): Promise<Buffer> {
    if (this.#chunk.length - this.#used >= bytes) {
      const { buffer, byteOffset } = this.#chunk;
      const taken = Buffer.from(buffer, byteOffset + this.#used, bytes);
      this.#advance(bytes);
      return taken;
    }
    const taken = Buffer.alloc(bytes);
    return taken.subarray(0, await this.copy(taken));
  }

  /** Fills a buffer. A kept slice of a chunk would hold all of it in memory. @returns the bytes that there were */
  async copy(into: Buffer): Promise<number> {
    let filled = 0;
    while (filled < into.length && (await this.#fill())) {
      const part = this.#chunk.subarray(this.#used, this.#used + into.length - filled);
      into.set(part, filled);
      this.#advance(part.length);
      filled += part.length;
    }
    return filled;
  }

  /** Passes over bytes. @returns how many there were */
  async pass(bytes: number): Promise<number> {
    let left = bytes;
    while (left > 0 && (await this.#fill())) {
      const part = Math.min(left, this.#chunk.length - this.#used);
      this.#advance(part);
      left -= part;
    }
    return bytes - left;
  }

  /** Closes the file or the socket that the chunks come from. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  #advance(bytes: number): void {
    this.#used += bytes;
    this.#at += bytes;
  }

  /** Sees to it that there is a byte; false at the end. */
  async #fill(): Promise<boolean> {
    while (this.#used === this.#chunk.length) {
      const { value, done } = await this.#chunks.next();
      if (done === true) return false;
      this.#chunk = value;
      this.#used = 0;
    }
    return true;
  }
}
