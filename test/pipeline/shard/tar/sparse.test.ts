/** Sparse files, in each form that GNU tar has for them, are the files that were packed; damaged maps are told. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { TarReader } from '#dist/pipeline/shard/tar/reader.js';
import { noise } from '../../../support/bytes.js';
import { hasGnuTar, packSparse, SPARSE_FORMS, type SparseForm, writeHoled } from '../../../support/gnu-tar.js';
import { END, paxRecords, rawMember, type RawMember } from '../../../support/raw-tar.js';

interface Found {
  readonly kind: string;
  readonly name: string;
  readonly size: number;
  readonly sparse: boolean;
  readonly content: Buffer;
}

async function* chunksOf(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function membersOf(archive: Buffer, chunk = 777): Promise<Found[]> {
  const reader = new TarReader('test.tar', chunksOf(archive, chunk));
  const found: Found[] = [];
  let end = 0;
  for (let member = await reader.next(); member; member = await reader.next()) {
    const { kind, name, size, sparse } = member;
    expect(member.start).toBe(end);
    end = member.end;
    found.push({ kind, name, size, sparse, content: kind === 'file' ? await reader.content() : Buffer.alloc(0) });
  }
  return found;
}

/** Bytes of a file: noise at the places that are given in blocks of 512, zeros elsewhere. */
function holed(bytes: number, ...blocks: readonly number[]): Buffer {
  const file = Buffer.alloc(bytes);
  for (const block of blocks) file.set(noise(Math.min(512, bytes - 512 * block), block), 512 * block);
  return file;
}

const every = (step: number, count: number): number[] => Array.from({ length: count }, (_, i) => step * i);
const LONG = `${'n'.repeat(110)}.png`;
const FILES: Readonly<Record<string, Buffer>> = {
  'a-plain.jpg': noise(1300),
  // The old form has room for 4 pieces in the header and for 21 in each block behind it.
  'b-many.png': holed(512 * 300, ...every(4, 60)),
  'c-ends-in-a-hole.png': holed(20_000, 3),
  'd-begins-with-one.png': holed(20_000, 30, 39),
  'e-empty.png': Buffer.alloc(9000),
  'f-four.png': holed(512 * 30, 1, 5, 9, 29),
  'g-five.png': holed(512 * 30 + 7, 1, 5, 9, 13, 30),
  [LONG]: holed(30_000, 0, 9),
  'z-plain.jpg': noise(700),
};

describe('a sparse file of GNU tar', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'detco-sparse-'));
    for (const [name, bytes] of Object.entries(FILES)) await writeHoled(join(folder, name), bytes);
  });
  afterAll(() => rm(folder, { recursive: true }));

  (hasGnuTar ? test : test.skip).each(Object.keys(SPARSE_FORMS) as SparseForm[])('is the file that was packed: %s', async (form) => {
    const archive = join(folder, `${form}.tar`);
    packSparse(archive, form, folder, Object.keys(FILES));
    const bytes = await readFile(archive);
    for (const chunk of [1, 511, 1 << 20]) {
      const members = await membersOf(bytes, chunk);
      expect(members.map(({ name, size }) => [name, size])).toEqual(Object.entries(FILES).map(([name, file]) => [name, file.length]));
      for (const { name, content } of members) expect(content.equals(FILES[name] as Buffer)).toBe(true);
      expect(members.filter(({ sparse }) => sparse)).toHaveLength(7);
    }
  });
});

const digits = (value: number): string => `${value.toString(8).padStart(11, '0')}\0`;

/** In the old form: pieces of one byte each unless told, of a file of `size` bytes. */
function oldSparse(size: number, pieces: readonly (readonly [offset: number, bytes: number])[], more: Partial<RawMember> = {}): Buffer {
  const body = Buffer.alloc(
    pieces.reduce((sum, [, bytes]) => sum + bytes, 0),
    'x',
  );
  const patch = (header: Buffer): void => {
    pieces.forEach(([offset, bytes], i) => header.write(digits(offset) + digits(bytes), 386 + 24 * i, 'latin1'));
    header.write(digits(size), 483, 'latin1');
  };
  return rawMember({ name: 'a.png', type: 'S', magic: 'ustar  \0', body, patch, ...more });
}

/** In a form of PAX: records, and what is stored. */
function paxSparse(records: Readonly<Record<string, string>> | readonly (readonly [string, string])[], body: Buffer | string): Buffer {
  const list = Array.isArray(records) ? (records as readonly (readonly [string, string])[]) : Object.entries(records);
  const named = list.map(([key, value]) => [`GNU.sparse.${key}`, value] as const);
  return Buffer.concat([rawMember({ name: 'x', type: 'x', body: paxRecords(...named) }), rawMember({ name: 'a.png', body })]);
}

const lines = (numbers: readonly (number | string)[], stored = ''): Buffer => {
  const text = Buffer.from(`${numbers.join('\n')}\n`);
  return Buffer.concat([text, Buffer.alloc((512 - (text.length % 512)) % 512), Buffer.from(stored)]);
};
const V1 = { major: '1', minor: '0' };

describe('the map of a sparse file', () => {
  test.each([
    [
      'old GNU',
      oldSparse(10, [
        [2, 1],
        [5, 2],
      ]),
    ],
    [
      'PAX 0.0',
      paxSparse(
        [
          ['size', '10'],
          ['offset', '2'],
          ['numbytes', '1'],
          ['offset', '5'],
          ['numbytes', '2'],
        ],
        'xxx',
      ),
    ],
    ['PAX 0.1', paxSparse({ size: '10', map: '2,1,5,2' }, 'xxx')],
    ['PAX 0.1, of fewer pieces than it counts', paxSparse({ size: '10', numblocks: '3', map: '2,1,5,2' }, 'xxx')],
    ['PAX 1.0', paxSparse({ ...V1, realsize: '10' }, lines([2, 2, 1, 5, 2], 'xxx'))],
  ])('tells where the pieces belong: %s', async (_form, archive) => {
    const [member] = await membersOf(Buffer.concat([archive, END]));
    expect(member).toMatchObject({ kind: 'file', name: 'a.png', size: 10, sparse: true });
    expect(member?.content.toString('latin1').replaceAll('\0', '.')).toBe('..x..xx...');
  });

  test.each([
    ['star', oldSparse(10, [[2, 1]], { magic: 'ustar\x0000' })],
    ['a later version', paxSparse({ major: '2', minor: '0', realsize: '10' }, 'x')],
    ['half a version', paxSparse({ major: '1', realsize: '10' }, 'x')],
    ['a version without a map', paxSparse({ size: '10' }, 'x')],
  ])('leaves a member out in a form that nobody here knows: %s', async (_form, archive) => {
    const found = await membersOf(Buffer.concat([archive, rawMember({ name: 'b.jpg', body: 'x' }), END]));
    expect(found.map(({ kind, name }) => [kind, name])).toEqual([
      ['sparse file of unknown form', 'a.png'],
      ['file', 'b.jpg'],
    ]);
  });

  test('of star goes on in blocks, which are passed with the member', async () => {
    const patch = (header: Buffer): void => {
      header.write('1', 355, 'latin1');
      header.write('tar\0', 508, 'latin1');
    };
    const member = rawMember({ name: 'a.png', type: 'S', body: 'x', patch });
    const [more, last] = [Buffer.alloc(512), Buffer.alloc(512)];
    more.write('1', 504, 'latin1');
    const found = await membersOf(
      Buffer.concat([member.subarray(0, 512), more, last, member.subarray(512), rawMember({ name: 'b.jpg', body: 'x' }), END]),
    );
    expect(found.map(({ kind, name }) => [kind, name])).toEqual([
      ['sparse file of unknown form', 'a.png'],
      ['file', 'b.jpg'],
    ]);
  });

  const endless = Buffer.alloc(512);
  endless[504] = 1;
  const goesOn = (header: Buffer): void => {
    header.write(digits(10), 483, 'latin1');
    header[482] = 1;
  };
  test.each([
    [
      'pieces out of order',
      oldSparse(10, [
        [5, 1],
        [2, 1],
      ]),
      0,
      'a piece of 1 bytes at 2, behind one that ends at 6',
    ],
    [
      'pieces that overlap',
      paxSparse({ size: '10', map: '2,4,5,2' }, 'xxxxxx'),
      1024,
      'a piece of 2 bytes at 5, behind one that ends at 6',
    ],
    [
      'a piece behind the end',
      paxSparse({ ...V1, realsize: '10' }, lines([1, 9, 2], 'xx')),
      1024,
      'a sparse file of 10 bytes has a piece of 2',
    ],
    [
      'fewer bytes than are stored',
      paxSparse({ size: '10', map: '2,1' }, 'xxx'),
      1024,
      'the pieces of a sparse file have 1 bytes, and 3 are stored',
    ],
    ['more bytes than are stored', paxSparse({ ...V1, realsize: '10' }, lines([1, 2, 3], 'xx')), 1024, 'have 3 bytes, and 2 are stored'],
    ['more pieces than it has bytes', paxSparse({ ...V1, realsize: '10' }, lines([9007199254740991, 2, 1], 'x')), 1024, 'for a number'],
    [
      'lines to its end',
      paxSparse({ ...V1, realsize: '10' }, `1000000\n${'0\n'.repeat(508)}`),
      1024,
      'the map of a sparse file does not end',
    ],
    ['no lines', paxSparse({ ...V1, realsize: '10' }, noise(2000)), 1024, 'for a number'],
    [
      'more pieces than it counts',
      paxSparse({ size: '10', numblocks: '1', map: '2,1,5,2' }, 'xxx'),
      1024,
      'has 2 pieces, and GNU.sparse.numblocks is 1',
    ],
    [
      'more pieces than it counts, each with records of its own',
      paxSparse(
        [
          ['size', '10'],
          ['numblocks', '1'],
          ['offset', '2'],
          ['numbytes', '1'],
          ['offset', '5'],
          ['numbytes', '2'],
        ],
        'xxx',
      ),
      1024,
      'has 2 pieces, and GNU.sparse.numblocks is 1',
    ],
    ['half a piece', paxSparse({ size: '10', map: '2,1,5' }, 'x'), 1024, 'no list of pieces'],
    ['no number', paxSparse({ size: '10', map: '2,-1' }, 'x'), 1024, 'has "-1" for a number'],
    ['no size', paxSparse({ map: '2,1' }, 'x'), 1024, 'has "" for a number'],
    [
      'records that do not alternate',
      paxSparse(
        [
          ['size', '10'],
          ['offset', '2'],
          ['offset', '5'],
        ],
        'x',
      ),
      0,
      'do not alternate',
    ],
    ['blocks without end', Buffer.concat([oldSparse(10, [], { patch: goesOn }), ...Array<Buffer>(8192).fill(endless)]), 0, 'does not end'],
  ])('that is damaged is an error: %s', async (_what, archive, at, problem) => {
    const error: unknown = await membersOf(Buffer.concat([archive, END])).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ name: 'ShardError', offset: at });
    expect(String(error)).toContain(`is damaged at byte ${at}; copy it again`);
    expect(String(error)).toContain(problem);
  });

  test('that is cut off is told as such', async () => {
    const archive = oldSparse(10, [], { patch: goesOn });
    await expect(membersOf(archive)).rejects.toThrow('ends at byte 512 in the middle of the archive');
  });
});
