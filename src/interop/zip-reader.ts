/** The records of a zip archive of torch's: stored, not compressed, and checked by their CRC-32. */
import { buffer } from 'node:stream/consumers';
import { crc32 } from 'node:zlib';
import { type Entry, openPromise, type ZipFile } from 'yauzl';
import { WeightsError } from './weights-error.js';

const STORED = 0;

export interface ZipRecord {
  /** Bytes. */
  readonly size: number;
  /** @throws WeightsError for a record that is damaged or compressed */
  read(): Promise<Buffer>;
}

export interface ZipRecords extends AsyncDisposable {
  readonly records: ReadonlyMap<string, ZipRecord>;
}

/** Opens an archive. Nothing is allocated by what its directory claims: sizes are checked against the file. */
export async function openZip(path: string): Promise<ZipRecords> {
  const zip = await openPromise(path, { autoClose: false }).catch(asWeightsError);
  try {
    const records = new Map<string, ZipRecord>();
    for await (const entry of zip.eachEntry()) records.set(entry.fileName, { size: entry.uncompressedSize, read: () => read(zip, entry) });
    return { records, [Symbol.asyncDispose]: async () => zip.close() };
  } catch (error) {
    zip.close();
    return asWeightsError(error);
  }
}

async function read(zip: ZipFile, entry: Entry): Promise<Buffer> {
  const { fileName, compressionMethod } = entry;
  if (compressionMethod !== STORED)
    throw new WeightsError(
      `holds "${fileName}" compressed, which torch.save does not do: unpack the archive and store it without compression`,
    );
  const bytes = await zip.openReadStreamPromise(entry).then(buffer).catch(asWeightsError);
  if (crc32(bytes) !== entry.crc32)
    throw new WeightsError(
      `is damaged: the CRC-32 of "${fileName}" is not that which was written (unless torch.serialization.set_crc32_options was told to write none)`,
    );
  return bytes;
}

function asWeightsError(error: unknown): never {
  throw new WeightsError(`is no whole zip archive: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
}
