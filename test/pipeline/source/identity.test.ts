/** What a shard is apart from how it is reached: logins and signatures go, what names the content stays. */
import { inspect } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { identityOf, shardName, withoutSecrets } from '#dist/pipeline/source/identity.js';
import { SourceError } from '#dist/pipeline/source/index.js';

const PLACE = 'https://host/set/train-000.tar';

describe('the identity of a location', () => {
  test.each([
    ['a login', 'https://user:pass@host/set/train-000.tar'],
    ['a password with an @ in it', 'https://user:p@ss@host/set/train-000.tar'],
    ['a password with a slash in it', 'https://user:pa/ss@host/set/train-000.tar'],
    ['a password with a question mark in it', 'https://user:pa?ss@host/set/train-000.tar'],
    [
      'AWS Signature Version 4',
      `${PLACE}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20261231%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20261231T000000Z&X-Amz-Expires=3600&X-Amz-Security-Token=t&X-Amz-SignedHeaders=host&X-Amz-Signature=ab`,
    ],
    ['AWS Signature Version 2', `${PLACE}?AWSAccessKeyId=AKID&Signature=ab%3D&Expires=1797000000`],
    ['CloudFront with a policy', `${PLACE}?Policy=eyJ&Signature=ab~&Key-Pair-Id=K1`],
    [
      'Google Cloud Storage V4',
      `${PLACE}?X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential=a&X-Goog-Date=b&X-Goog-Expires=60&X-Goog-SignedHeaders=host&X-Goog-Signature=c`,
    ],
    ['Google Cloud Storage V2', `${PLACE}?GoogleAccessId=me%40project&Expires=1797000000&Signature=ab`],
    ['a service SAS of Azure', `${PLACE}?sp=r&st=2026-01-01T00:00:00Z&se=2026-12-31T00:00:00Z&spr=https&sv=2024-11-04&sr=b&sig=ab%3D`],
    [
      'a user delegation SAS of Azure',
      `${PLACE}?skoid=1&sktid=2&skt=2026-01-01&ske=2026-01-02&sks=b&skv=2024-11-04&sv=2024-11-04&sr=b&sig=x&sip=10.0.0.1&si=p`,
    ],
    ["Hugging Face's storage", `${PLACE}?X-Amz-Signature=ab&X-Xet-Cas-Uid=public&X-Xet-Session-Id=1`],
    ['OSS', `${PLACE}?x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-credential=a&x-oss-date=b&x-oss-expires=1&x-oss-signature=c`],
    ['COS', `${PLACE}?q-sign-algorithm=sha1&q-ak=a&q-sign-time=1&q-key-time=1&q-header-list=host&q-url-param-list=&q-signature=b`],
    ['a token', `${PLACE}?token=abc`],
    ['names in another case, percent-encoded', `${PLACE}?x-amz-signature=ab&X%2DAmz%2DDate=1`],
    ['a fragment', `${PLACE}#access_token=abc`],
  ])('is without %s', (_, location) => {
    expect(identityOf(location)).toBe(PLACE);
  });

  test.each([
    [`${PLACE}?versionId=7`, 'a version of S3'],
    [`${PLACE}?generation=7&file=a.tar`, 'what a server names its objects by'],
    [`${PLACE}?st=5&se=7`, 'short names that are those of Azure only beside a signature'],
    ['https://host/download?key=train-000.tar', 'a key, which names objects as often as it opens them'],
    ['s3://bucket/odd?X-Amz-Signature=1#2@3.tar', 'an S3 key, in which no character means anything'],
    ['/data/user:pass@host/a?sig=1#2.tar', 'a path'],
    ['file:///data/user:pass@host/a.tar', 'a path as a URL'],
    ['https://host/train-{000..146}.tar', 'a range'],
  ])('keeps %s: %s', (location) => {
    expect(identityOf(location)).toBe(location);
  });

  test('keeps the other parameters as they are, in their order', () => {
    expect(identityOf(`${PLACE}?b=%20&X-Amz-Date=1&a=&sig=2&versionId=7`)).toBe(`${PLACE}?b=%20&a=&versionId=7`);
  });

  test('of a specification is one, too', () => {
    expect(identityOf('https://me:secret@host/train-{000..146}.tar?sig={a,b}&versionId=7')).toBe(
      'https://host/train-{000..146}.tar?versionId=7',
    );
    expect(identityOf('ftp://me:secret@host/a.tar')).toBe('ftp://host/a.tar');
  });
});

describe('the name of a shard', () => {
  test.each([
    ['/data/set/a b.tar', 'a b.tar'],
    ['https://me:secret@host/set/a%20b.tar?sig=1', 'a b.tar'],
    ['s3://bucket/set/a b.tar', 'a b.tar'],
    ['s3://bucket/a?b.tar', 'a?b.tar'],
    ['file:///data/set/a.tar', 'a.tar'],
    ['https://host/download?file=a.tar&sig=1', 'download?file=a.tar'],
  ])('%s is %s', (location, name) => {
    expect(shardName(location)).toBe(name);
  });
});

describe('an error', () => {
  test('shows no login, wherever it came from', () => {
    const url = 'https://me:secret@host/a.tar?X-Amz-Signature=secret';
    // As Node makes it: the URL is in properties of the cause.
    const cause = Object.assign(new TypeError('Invalid URL'), { code: 'ERR_INVALID_URL', input: url, base: url });
    const error = new SourceError(url, `matches no shard (of "${url}")`, { cause });
    expect(inspect(error)).not.toContain('secret');
    expect(error.message).toBe('https://host/a.tar: matches no shard (of "https://host/a.tar")');
    expect(error.cause).toMatchObject({ message: 'Invalid URL (ERR_INVALID_URL)', code: 'ERR_INVALID_URL' });
  });

  test('keeps a cause that says nothing of one', () => {
    const cause = new Error('socket hang up');
    expect(new SourceError('https://me:secret@host/a.tar', 'failed', { cause }).cause).toBe(cause);
  });
});

test('every URL of a text is cleaned, and nothing else is touched', () => {
  expect(withoutSecrets('no "https://a:b@host/x?sig=1", (s3://bucket/k), me@host; sig=2')).toBe(
    'no "https://host/x", (s3://bucket/k), me@host; sig=2',
  );
});

test('a word of a million letters is looked through once', () => {
  const word = 'a'.repeat(1_000_000);
  expect(withoutSecrets(`${word} ${word}://me:secret@host/x`)).not.toContain('secret');
});
