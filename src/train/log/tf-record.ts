/**
 * TFRecord, the file format of TensorFlow's event files: records one behind the other, each with its length and two checksums.
 *
 *     uint64 length | uint32 masked CRC-32C of the length | data | uint32 masked CRC-32C of the data      all little-endian
 *
 * Source: tensorflow/core/lib/io/record_writer.h.
 */
import { createReadStream } from 'node:fs';

const HEADER_BYTES = 12;
const FOOTER_BYTES = 4;
/** Castagnoli's polynomial, bits reversed. */
const POLYNOMIAL = 0x82f63b78;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
  return crc;
});

/** CRC-32C, masked as TensorFlow does so that a CRC of data that holds CRCs stays a good one. */
function maskedCrc(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ (TABLE[(crc ^ byte) & 0xff] as number);
  crc = ~crc >>> 0;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

export function record(data: Uint8Array): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + data.length + FOOTER_BYTES);
  bytes.writeBigUInt64LE(BigInt(data.length), 0);
  bytes.writeUInt32LE(maskedCrc(bytes.subarray(0, 8)), 8);
  bytes.set(data, HEADER_BYTES);
  bytes.writeUInt32LE(maskedCrc(data), HEADER_BYTES + data.length);
  return bytes;
}

/** The whole records of a file, each with the byte at which it begins. What a crash left of a last one is passed over. */
export async function* readRecords(path: string): AsyncGenerator<{ readonly start: number; readonly data: Buffer }> {
  let held: Buffer = Buffer.alloc(0);
  let start = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
    held = held.length > 0 ? Buffer.concat([held, chunk]) : chunk;
    let from = 0;
    while (held.length >= from + HEADER_BYTES) {
      const end = from + HEADER_BYTES + Number(held.readBigUInt64LE(from)) + FOOTER_BYTES;
      if (held.length < end) break;
      yield { start: start + from, data: held.subarray(from + HEADER_BYTES, end - FOOTER_BYTES) };
      from = end;
    }
    held = held.subarray(from);
    start += from;
  }
}
