/** Sound archives of all writers are read to their end, member by member. */
import { describe, expect, test } from '@jest/globals';
import { TarReader, type TarMember } from '#dist/pipeline/shard/tar/reader.js';
import { noise } from '../../../support/bytes.js';
import { END, paxRecords, rawMember } from '../../../support/raw-tar.js';

interface Found extends Pick<TarMember, 'kind' | 'name' | 'start' | 'offset'> {
  readonly content?: string;
}

async function* chunksOf(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** What an archive holds, the same however its bytes arrive. */
async function membersOf(...parts: readonly Buffer[]): Promise<{ members: Found[]; reader: TarReader }> {
  const bytes = Buffer.concat(parts);
  const read = async (size: number): Promise<{ members: Found[]; reader: TarReader }> => {
    const reader = new TarReader('test.tar', chunksOf(bytes, size));
    const members: Found[] = [];
    for (let member = await reader.next(); member; member = await reader.next()) {
      const { kind, name, start, offset } = member;
      members.push({ kind, name, start, offset, ...(kind === 'file' && { content: (await reader.content()).toString('latin1') }) });
    }
    return { members, reader };
  };
  const whole = await read(1 << 20);
  for (const size of [1, 511, 777]) {
    const { members, reader } = await read(size);
    expect(members).toEqual(whole.members);
    expect(reader.end).toEqual(whole.reader.end);
  }
  return whole;
}

const brief = ({ members }: { members: Found[] }): unknown =>
  members.map(({ kind, name, content }) => [kind, name, ...(content === undefined ? [] : [content])]);
const file = (name: string | Buffer, body = 'x'): Buffer => rawMember({ name, body });

describe('TarReader reads', () => {
  test('v7 archives: no magic, NUL for a type, directories by their slash', async () => {
    const v7 = { magic: '', type: '\0' };
    const found = await membersOf(
      rawMember({ name: 'a/', ...v7 }),
      rawMember({ name: 'a/b.jpg', body: 'hello', ...v7, size: '      5 ' }),
      END,
    );
    expect(brief(found)).toEqual([
      ['directory', 'a/'],
      ['file', 'a/b.jpg', 'hello'],
    ]);
  });

  test('checksums of signed bytes, and names that are not UTF-8', async () => {
    const found = await membersOf(rawMember({ name: Buffer.from('caf\xe9.jpg', 'latin1'), body: 'x', signed: true }), END);
    expect(brief(found)).toEqual([['file', 'caf\\xE9.jpg', 'x']]);
  });

  test('sizes in base 256, and links that repeat the size of their target', async () => {
    const size = Buffer.alloc(12);
    size[0] = 0x80;
    size.writeUInt16BE(700, 10);
    const link = { type: '1', target: 'big.jpg', size: '00000001274\0' };
    const found = await membersOf(
      rawMember({ name: 'big.jpg', body: noise(700), size }),
      rawMember({ name: 'hard.jpg', ...link }),
      file('c.jpg'),
      END,
    );
    expect(found.members.map(({ kind, name }) => [kind, name])).toEqual([
      ['file', 'big.jpg'],
      ['hard link', 'hard.jpg'],
      ['file', 'c.jpg'],
    ]);
    expect(found.members[0]?.content).toBe(noise(700).toString('latin1'));
  });

  test('the prefix of ustar, and not the times that GNU tar has in its place', async () => {
    const patch = (header: Buffer): void => void header.write('15303124054', 345, 'latin1');
    const gnu = rawMember({ name: 'a.jpg', magic: 'ustar  \0', patch });
    expect(brief(await membersOf(gnu, rawMember({ name: 'b.jpg', patch }), END))).toEqual([
      ['file', 'a.jpg', ''],
      ['file', '15303124054/b.jpg', ''],
    ]);
  });

  test('long names of GNU tar and of PAX, at the start of their first header', async () => {
    const long = `${'d'.repeat(120)}/e.jpg`;
    const gnu = [rawMember({ name: '././@LongLink', type: 'L', body: `${long}\0` }), file('cut.jpg', 'gnu')];
    const pax = [rawMember({ name: 'x', type: 'x', body: paxRecords(['path', long], ['size', '3']) }), file('cut.jpg', 'pax')];
    const { members } = await membersOf(...gnu, ...pax, file('c.jpg'), END);
    expect(members).toEqual([
      { kind: 'file', name: long, start: 0, offset: 1536, content: 'gnu' },
      { kind: 'file', name: long, start: 2048, offset: 3584, content: 'pax' },
      { kind: 'file', name: 'c.jpg', start: 4096, offset: 4608, content: 'x' },
    ]);
  });

  test('records for all members, which one of a member takes back', async () => {
    const all = rawMember({ name: 'g', type: 'g', body: paxRecords(['comment', 'x'], ['path', 'every.jpg']) });
    const own = rawMember({ name: 'x', type: 'x', body: paxRecords(['path', '']) });
    expect(brief(await membersOf(all, file('a.jpg'), own, file('b.jpg'), END))).toEqual([
      ['file', 'every.jpg', 'x'],
      ['file', 'b.jpg', 'x'],
    ]);
  });

  test('names of PAX that are bytes, each as itself', async () => {
    const named = (name: string): Buffer =>
      rawMember({ name: 'x', type: 'x', body: paxRecords(['hdrcharset', 'BINARY'], ['path', Buffer.from(name, 'latin1')]) });
    expect(brief(await membersOf(named('\xe9.jpg'), file('?'), named('\xe8.jpg'), file('?'), END))).toEqual([
      ['file', '\\xE9.jpg', 'x'],
      ['file', '\\xE8.jpg', 'x'],
    ]);
  });

  test('volume headers, the rest of a file of another volume, dumped directories, devices, and types of none', async () => {
    const types = ['V', 'M', 'D', '3', '7', 'Z'].map((type, i) => rawMember({ name: `${i}`, type, body: type === '3' ? '' : 'body' }));
    expect((await membersOf(...types, file('c.jpg'), END)).members.map(({ kind }) => kind)).toEqual([
      'volume header',
      'continued file',
      'directory',
      'special file',
      'file',
      'unknown',
      'file',
    ]);
  });

  test('on behind a lone empty block, and behind the end of an archive that another follows', async () => {
    const lone = Buffer.alloc(512);
    const { members, reader } = await membersOf(file('a.jpg'), lone, file('b.jpg'), END, lone, file('c.jpg'), END);
    expect(members.map(({ name }) => name)).toEqual(['a.jpg', 'b.jpg', 'c.jpg']);
    expect(reader.end).toEqual({ bytes: 6144, marked: true });
  });

  test.each([
    ['text', Buffer.from('anything '.repeat(100)), 2048],
    ['less than a block', Buffer.from('x'), 2048],
    ['zeros', Buffer.alloc(70_000), undefined],
  ])('what is no member behind the end: %s', async (_what, tail, trailing) => {
    const { members, reader } = await membersOf(file('a.jpg'), END, tail);
    expect(members).toHaveLength(1);
    expect(reader.end).toEqual({ bytes: 2048 + tail.length, marked: true, ...(trailing !== undefined && { trailing }) });
  });

  test('to an end without its mark, and says so', async () => {
    expect((await membersOf(file('a.jpg'))).reader.end).toEqual({ bytes: 1024, marked: false });
    expect((await membersOf(Buffer.alloc(10_240))).reader.end).toEqual({ bytes: 10_240, marked: true });
  });
});

describe('TarReader refuses', () => {
  const refused = (...parts: readonly Buffer[]): Promise<string> =>
    membersOf(...parts).then(
      () => 'nothing',
      (error: unknown) => String(error),
    );

  test('an archive that ends within a member, or before the one that a header is about', async () => {
    const long = rawMember({ name: '././@LongLink', type: 'L', body: 'name\0' });
    for (const bytes of [file('a.jpg', 'x'.repeat(600)).subarray(0, 1100), Buffer.concat([file('a.jpg'), long]), long.subarray(0, 700)])
      expect(await refused(bytes)).toContain(`ends at byte ${bytes.length} in the middle of the archive`);
  });

  test('what stands in place of a header, a size that is none, an endless name, records that are none', async () => {
    expect(await refused(file('a.jpg'), Buffer.alloc(512, 'x'), END)).toContain('is damaged at byte 1024; copy it again');
    expect(await refused(rawMember({ name: 'a.jpg', size: 'many bytes\0' }), END)).toContain(
      'is damaged at byte 0; copy it again (its size is no number)',
    );
    expect(await refused(rawMember({ name: 'L', type: 'L', size: '77777777777\0' }), END)).toMatch(
      /is damaged at byte 0.*an extended header of \d+ bytes/,
    );
    const pax = rawMember({ name: 'x', type: 'x', body: paxRecords(['size', '1e3']) });
    expect(await refused(pax, file('a.jpg', 'x'.repeat(1000)), END)).toContain('copy it again (its size is no number)');
    expect(await refused(rawMember({ name: 'x', type: 'x', body: '12 path' }), END)).toMatch(
      /is damaged at byte 0.*no list of "LENGTH KEY=VALUE"/,
    );
  });

  test.each([
    ['\x1f\x8b\x08', 'is compressed with gzip'],
    ['\x28\xb5\x2f\xfd', 'is compressed with zstd'],
    ['\xfd7zXZ\0', 'is compressed with xz'],
    ['BZh91AY', 'is compressed with bzip2'],
    ['\x04\x22\x4d\x18', 'is compressed with lz4'],
    ['PK\x03\x04', 'is a zip archive'],
    ['7z\xbc\xaf\x27\x1c', 'is a 7z archive'],
    ['Rar!\x1a\x07', 'is a rar archive'],
    [
      '<!DOCTYPE html><title>Sign in</title>',
      'is a page of HTML or XML and not a tar archive; the server may want a login: DETCO_HTTP_HEADERS',
    ],
    ['\n<html>', 'is a page of HTML or XML'],
    [
      'version https://git-lfs.github.com/spec/v1\n',
      'is a pointer of Git LFS and not a tar archive; fetch what it stands for with git lfs pull',
    ],
  ])('a file that begins with %j, for what it is', async (magic, problem) => {
    for (const length of [20, 5000]) expect(await refused(Buffer.concat([Buffer.from(magic, 'latin1'), noise(length)]))).toContain(problem);
  });
});
