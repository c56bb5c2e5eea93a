/**
 * Names of members: bytes, which are UTF-8 nearly always. Old sets hold names in national encodings, and two of those must
 * not become one when both are decoded to replacement characters.
 */
import { isUtf8 } from 'node:buffer';

/**
 * Text for a name, different for different bytes. UTF-8 is itself. A byte that is none becomes `\xE9`, and a backslash
 * before what looks like such an escape becomes `\x5C`, so that each text stands for one name only.
 */
export function decodeName(bytes: Buffer): string {
  if (isUtf8(bytes)) return escapeEscapes(bytes.toString('utf8'));
  let text = '';
  let begin = 0;
  for (let at = 0; at < bytes.length;) {
    const length = characterBytes(bytes, at);
    if (length > 0) {
      at += length;
      continue;
    }
    text += escapeEscapes(bytes.toString('utf8', begin, at)) + escaped(bytes[at] as number);
    begin = ++at;
  }
  return text + escapeEscapes(bytes.toString('utf8', begin));
}

/** Bytes of the UTF-8 character that begins at `at`; 0 when none does. */
function characterBytes(bytes: Buffer, at: number): number {
  const first = bytes[at] as number;
  if (first < 0x80) return 1;
  const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  return at + length <= bytes.length && isUtf8(bytes.subarray(at, at + length)) ? length : 0;
}

function escaped(byte: number): string {
  return `\\x${byte.toString(16).toUpperCase().padStart(2, '0')}`;
}

function escapeEscapes(text: string): string {
  return text.includes('\\x') ? text.replace(/\\(?=x[0-9A-F]{2})/g, escaped(0x5c)) : text;
}
