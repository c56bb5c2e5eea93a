import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { closeSources, listShards, SourceError } from '#dist/pipeline/source/index.js';
import { setEnv } from '../../support/env.js';
import { startHttp } from '../../support/http.js';
import { s3Env, startS3, type S3Server } from '../../support/s3.js';

describe('listShards on files', () => {
  let dir: string;
  const at = (name: string): string => join(dir, name);
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'detco-list-'));
    await mkdir(at('sub'));
    for (const name of ['b-1.tar', 'b-0.tar', 'b-10.tar', 'B-2.tar', 'note.md', 'sub/c.tar', 'odd[1].tar']) await writeFile(at(name), '');
  });
  afterAll(() => rm(dir, { recursive: true }));

  test('keeps the order of braces and sorts globs by code unit', async () => {
    expect(await listShards([at('b-{1,0}.tar')])).toEqual([at('b-1.tar'), at('b-0.tar')]);
    expect(await listShards([at('[bB]-*.tar')])).toEqual(['B-2.tar', 'b-0.tar', 'b-1.tar', 'b-10.tar'].map(at));
    expect(await listShards([at('sub/*.tar'), at('b-0.tar')])).toEqual([at('sub/c.tar'), at('b-0.tar')]);
  });

  test('takes a directory for its tar files, a file:// URL, and a name that looks like a glob but exists', async () => {
    expect(await listShards([dir])).toEqual(['B-2.tar', 'b-0.tar', 'b-1.tar', 'b-10.tar', 'odd[1].tar', 'sub/c.tar'].map(at));
    expect(await listShards([pathToFileURL(at('b-0.tar')).href])).toEqual([at('b-0.tar')]);
    expect(await listShards([at('odd[1].tar')])).toEqual([at('odd[1].tar')]);
  });

  test('makes paths absolute', async () => {
    expect(await listShards(['package.json'])).toEqual([join(process.cwd(), 'package.json')]);
  });

  test('reads lists, with comments, braces and URLs', async () => {
    const text = `# shards\n${at('b-{0..1}.tar')}\n\n  https://host/x-{0..1}.tar  # remote\r\n`;
    await writeFile(at('list.txt'), text);
    await writeFile(at('plain'), text);
    const expected = [at('b-0.tar'), at('b-1.tar'), 'https://host/x-0.tar', 'https://host/x-1.tar'];
    expect(await listShards([at('list.txt')])).toEqual(expected);
    expect(await listShards([`@${at('plain')}`])).toEqual(expected);
  });

  test('refuses a folder of which a link leads back into it, by its name and by a glob', async () => {
    await mkdir(at('looped/inner'), { recursive: true });
    await writeFile(at('looped/inner/x.tar'), '');
    await symlink('..', at('looped/inner/loop'));
    for (const spec of [at('looped'), at('looped/**/*.tar')])
      await expect(listShards([spec])).rejects.toThrow(
        `names the shards of "${at('looped/inner')}" twice, for "${at('looped/inner/loop/inner')}" is the same folder by a link`,
      );
  });

  test('refuses what cannot be meant, and quotes it', async () => {
    await writeFile(at('nested.txt'), at('list.txt'));
    await writeFile(at('bare.txt'), '# nothing\n');
    await mkdir(at('photos'));
    await writeFile(at('photos/0.jpg'), 'an image');
    const cases: [string[], RegExp][] = [
      [[at('none-*.tar')], /none-\*\.tar: matches no shard/],
      [[at('photos')], /photos: is a folder without a \.tar file; of a folder of images make shards first: npx detco shard/],
      [[at('b-{0..3}.tar')], /b-2\.tar: matches no shard \(of ".*b-\{0\.\.3\}\.tar", 2 of whose 4 names match none\)/],
      [[at('b-{0..3.tar')], /never closes it/],
      [[at('b-0.tar'), at('b-*.tar')], /b-0\.tar: is named twice, by ".*b-0\.tar" and by ".*b-\*\.tar"/],
      [['gs://bucket/x.tar'], /"gs:\/\/" is not supported; expected a path, file:\/\/, http:\/\/, https:\/\/ or s3:\/\//],
      [['s3:///x.tar'], /is not an S3 location/],
      [['http://'], /is not a URL/],
      [[at('nested.txt')], /names another list, ".*list\.txt"/],
      [[at('bare.txt')], /is a list without a shard/],
      [[at('absent.txt')], /absent\.txt: no such file/],
      [[], /names no shard/],
      [[''], /"": names no shard/],
    ];
    for (const [specs, message] of cases) {
      const error: unknown = await listShards(specs).catch((error: unknown) => error);
      expect(error).toBeInstanceOf(SourceError);
      expect(String(error)).toMatch(message);
    }
  });
});

describe('listShards on S3', () => {
  let s3: S3Server;
  let restore: () => void;
  const empty = Buffer.alloc(1);
  beforeAll(async () => {
    s3 = await startS3({
      files: Object.fromEntries(
        ['in/b.tar', 'in/a.tar', 'in/sub/c.tar', 'in/a b+(1).tar', 'in/note.md', 'x.tar', 'in/._a.tar', 'in/.old/d.tar'].map((name) => [
          name,
          empty,
        ]),
      ),
    });
    restore = setEnv(s3.env);
  });
  afterAll(async () => {
    restore();
    await closeSources();
    await s3.close();
  });

  test('lists a prefix, sorted, tar files only, no hidden ones', async () => {
    const inside = ['a b+(1).tar', 'a.tar', 'b.tar', 'sub/c.tar'].map((name) => `${s3.url}/in/${name}`);
    expect(await listShards([`${s3.url}/in/`])).toEqual(inside);
    expect(await listShards([s3.url])).toEqual([...inside, `${s3.url}/x.tar`]);
  });

  test('matches globs within a directory or across them', async () => {
    expect(await listShards([`${s3.url}/in/*.tar`])).toEqual(['a b+(1).tar', 'a.tar', 'b.tar'].map((name) => `${s3.url}/in/${name}`));
    expect(await listShards([`${s3.url}/**/c.tar`])).toEqual([`${s3.url}/in/sub/c.tar`]);
    expect(await listShards([`${s3.url}/in/._*.tar`])).toEqual([`${s3.url}/in/._a.tar`]);
  });

  test('leaves a key as it is, without asking for it', async () => {
    expect(await listShards([`${s3.url}/no/such-{0..1}.tar`])).toEqual([`${s3.url}/no/such-0.tar`, `${s3.url}/no/such-1.tar`]);
  });

  test('quotes a prefix without tar files and a bucket that is not there', async () => {
    await expect(listShards([`${s3.url}/out/`])).rejects.toThrow(/s3:\/\/shards\/out\/: matches no shard/);
    await expect(listShards(['s3://nowhere/in/'])).rejects.toThrow(/s3:\/\/nowhere\/in\/: no such bucket "nowhere"/);
  });

  test('follows continuation tokens to the last page, over a failure', async () => {
    // s3rver cannot make continuation tokens under OpenSSL 3; this answers as the S3 API reference describes ListObjectsV2.
    const pages = [1000, 1000, 5];
    let failed = false;
    const server = await startHttp((request, response) => {
      const query = new URL(request.url ?? '', 'http://x').searchParams;
      const token = query.get('continuation-token') ?? '0=';
      if (token === '1=' && !failed) {
        failed = true;
        response.writeHead(503).end();
        return;
      }
      const page = Number(token.slice(0, -1));
      const odd =
        page === 0 ? '<Contents><Key>in/&#x2d;a&amp;b&lt;</Key></Contents><Contents><Key>in/&#x2d;a&amp;b&lt;.tar</Key></Contents>' : '';
      const contents = Array.from(
        { length: pages[page] ?? 0 },
        (_, i) => `<Contents><Key>in/${String(page * 1000 + i).padStart(5, '0')}.tar</Key><ETag>&quot;${i}&quot;</ETag></Contents>`,
      );
      const next =
        page < pages.length - 1
          ? `<IsTruncated>true</IsTruncated><NextContinuationToken>${page + 1}=</NextContinuationToken>`
          : '<IsTruncated>false</IsTruncated>';
      response.end(
        `<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Prefix>${query.get('prefix')}</Prefix>${next}${odd}${contents.join('')}</ListBucketResult>`,
      );
    });
    const undo = setEnv(s3Env(server.url, { key: 'k', secret: 's' }));
    try {
      const shards = await listShards(['s3://b/in/']);
      expect(shards).toHaveLength(2006);
      expect(shards[0]).toBe('s3://b/in/-a&b<.tar');
      expect(shards.at(-1)).toBe('s3://b/in/02004.tar');
      expect(server.requests).toHaveLength(4);
    } finally {
      undo();
      await closeSources();
      await server.close();
    }
  });
});
