/** Builds tar archives byte by byte: what old, odd and other writers leave, which tar-stream does not write. */

export interface RawMember {
  readonly name: string | Buffer;
  readonly body?: Buffer | string;
  /** Type flag. Default `0`. */
  readonly type?: string;
  readonly target?: string;
  /** The size field, when it is not the length of the body in octal. */
  readonly size?: Buffer | string;
  /** Bytes 257..264. Default ustar's. */
  readonly magic?: string;
  /** What comes over the header before its checksum is computed. */
  readonly patch?: (header: Buffer) => void;
  /** Whether the checksum adds signed bytes. */
  readonly signed?: boolean;
}

export const END = Buffer.alloc(1024);

export function rawMember({
  name,
  body = '',
  type = '0',
  target = '',
  size,
  magic = 'ustar\x0000',
  patch,
  signed = false,
}: RawMember): Buffer {
  const content = Buffer.from(body);
  const header = Buffer.alloc(512);
  Buffer.from(name).copy(header, 0, 0, 100);
  header.write('0000644\x000000000\x000000000\x00', 100, 'latin1');
  Buffer.from(size ?? `${content.length.toString(8).padStart(11, '0')}\0`).copy(header, 124);
  header.write('00000000000\x00', 136, 'latin1');
  header.write(type, 156, 'latin1');
  header.write(target, 157);
  header.write(magic, 257, 'latin1');
  patch?.(header);
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + (signed && byte >= 128 ? byte - 256 : byte), 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return Buffer.concat([header, content, Buffer.alloc((512 - (content.length % 512)) % 512)]);
}

/** Records of an extended header. */
export function paxRecords(...records: readonly (readonly [key: string, value: string | Buffer])[]): Buffer {
  return Buffer.concat(
    records.map(([key, value]) => {
      const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from('\n')]);
      let length = rest.length;
      while (length !== rest.length + String(length).length) length = rest.length + String(length).length;
      return Buffer.concat([Buffer.from(String(length)), rest]);
    }),
  );
}
