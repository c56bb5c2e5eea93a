/** Extended headers: records `LENGTH KEY=VALUE\n` (POSIX.1-2017, pax, "pax Extended Header"). */
import { decodeName } from './name.js';

/**
 * The records in their order. Values are UTF-8, or bytes where the archive says `hdrcharset=BINARY`: both are decoded as names.
 * @throws Error at what is no record
 */
export function parsePax(content: Buffer): [key: string, value: string][] {
  const records: [string, string][] = [];
  for (let at = 0; at < content.length;) {
    const space = content.indexOf(' ', at);
    const length = Number(content.toString('latin1', at, space));
    const equals = content.indexOf('=', space);
    const end = at + length;
    if (!/^\d+$/.test(content.toString('latin1', at, space)) || equals === -1 || equals >= end || end > content.length) {
      // Some writers fill up the block with NULs and count them in.
      if (content.subarray(at).every((byte) => byte === 0)) return records;
      throw new Error('an extended header is no list of "LENGTH KEY=VALUE"');
    }
    records.push([content.toString('latin1', space + 1, equals), decodeName(content.subarray(equals + 1, end - 1))]);
    at = end;
  }
  return records;
}
