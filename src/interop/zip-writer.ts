/**
 * A zip archive as torch.save writes one: records stored without compression, each beginning at a multiple of 64 bytes. Libraries that
 * write archives do not align, which is what a reader that maps the file needs.
 */
import { crc32 } from 'node:zlib';

const ALIGNMENT = 64;
/** Larger archives have another form of directory. */
const MOST_BYTES = 0xffff_ffff;
/** 1 January 1980, the first day of a zip archive: the same weights give the same file. */
const DATE = 0x21;
const VERSION = 20;
/** Names are UTF-8. */
const FLAGS = 0x0800;
/** Of the extra field that torch pads with. */
const PADDING_ID = 0x4246;

export interface ZipEntry {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** @throws RangeError beyond 4 GiB */
export function* zip(entries: Iterable<ZipEntry>): Generator<Uint8Array> {
  const directory: Buffer[] = [];
  let at = 0;
  for (const { name, bytes } of entries) {
    const text = Buffer.from(name);
    const unpadded = at + 30 + text.length + 4;
    const padding = (ALIGNMENT - (unpadded % ALIGNMENT)) % ALIGNMENT;
    if (unpadded + padding + bytes.byteLength > MOST_BYTES)
      throw new RangeError('an archive of more than 4 GiB is not written here: write a .safetensors');
    const common = commonHeader(text, bytes);
    const extra = Buffer.alloc(4 + padding);
    extra.writeUInt16LE(PADDING_ID);
    extra.writeUInt16LE(padding, 2);
    yield Buffer.concat([signature(0x0403_4b50), common, uint16(extra.length), text, extra]);
    yield bytes;
    // No extra field, comment, disk and attributes.
    const rest = Buffer.alloc(16);
    rest.writeUInt32LE(at, 12);
    directory.push(Buffer.concat([signature(0x0201_4b50), uint16(VERSION), common, rest, text]));
    at = unpadded + padding + bytes.byteLength;
  }
  const central = Buffer.concat(directory);
  yield central;
  const end = Buffer.alloc(18);
  end.writeUInt16LE(directory.length, 4);
  end.writeUInt16LE(directory.length, 6);
  end.writeUInt32LE(central.length, 8);
  end.writeUInt32LE(at, 12);
  yield Buffer.concat([signature(0x0605_4b50), end]);
}

/** From the version that is needed to the length of the name: what a record and its line of the directory share. */
function commonHeader(name: Buffer, bytes: Uint8Array): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt16LE(VERSION);
  header.writeUInt16LE(FLAGS, 2);
  header.writeUInt16LE(DATE, 8);
  header.writeUInt32LE(crc32(bytes), 10);
  header.writeUInt32LE(bytes.byteLength, 14);
  header.writeUInt32LE(bytes.byteLength, 18);
  header.writeUInt16LE(name.length, 22);
  return header;
}

function signature(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}
