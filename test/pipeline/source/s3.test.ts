/** What S3 says when it refuses, and what we tell the user; credentials, regions and addresses. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { bucketAddress, region } from '#dist/pipeline/source/aws.js';
import { closeSources, openShard, type RetryEvent, SourceError } from '#dist/pipeline/source/index.js';
import { collect, noise, until } from '../../support/bytes.js';
import { setEnv } from '../../support/env.js';
import { answerError, startHttp, type Handler, type HttpServer } from '../../support/http.js';
import { s3Env, startS3, type S3Server } from '../../support/s3.js';
import { startTokenGate } from '../../support/token-gate.js';

const body = noise(1000);
let undo: () => void = () => {};
let server: HttpServer | undefined;
afterEach(async () => {
  undo();
  await closeSources();
  await server?.close();
  server = undefined;
});

async function failure(location: string): Promise<string> {
  const error: unknown = await collect(openShard(location)).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(SourceError);
  expect(String(error)).toContain(location);
  return String(error);
}

describe('a real server', () => {
  let s3: S3Server;
  beforeAll(async () => {
    s3 = await startS3({ files: { 'a.tar': body } });
  });
  afterAll(() => s3.close());

  test('refuses a wrong secret', async () => {
    undo = setEnv({ ...s3.env, AWS_SECRET_ACCESS_KEY: 'wrong' });
    expect(await failure(`${s3.url}/a.tar`)).toMatch(/check AWS_SECRET_ACCESS_KEY \(403 SignatureDoesNotMatch/);
  });

  test('refuses an unknown key', async () => {
    undo = setEnv({ ...s3.env, AWS_ACCESS_KEY_ID: 'nobody' });
    expect(await failure(`${s3.url}/a.tar`)).toMatch(/check AWS_ACCESS_KEY_ID or AWS_PROFILE \(403 InvalidAccessKeyId/);
  });

  test('has no such key or bucket', async () => {
    undo = setEnv(s3.env);
    expect(await failure(`${s3.url}/no.tar`)).toMatch(/no such object in bucket "shards"; check the key \(404 NoSuchKey/);
    expect(await failure('s3://nowhere/a.tar')).toMatch(/no such bucket "nowhere"; check its name.*\(404 NoSuchBucket/);
    expect(await failure(`${s3.url}/in/`)).toMatch(/names no object; expected s3:\/\/bucket\/key\.tar/);
  });

  test('is read without a signature when asked or when there are no credentials', async () => {
    undo = setEnv({ ...s3.env, AWS_SECRET_ACCESS_KEY: 'wrong', AWS_NO_SIGN_REQUEST: '1' });
    expect((await collect(openShard(`${s3.url}/a.tar`))).equals(body)).toBe(true);
    undo();
    undo = setEnv(s3Env(s3.endpoint));
    expect((await collect(openShard(`${s3.url}/a.tar`))).equals(body)).toBe(true);
  });
});

/** An error as the S3 API reference documents it, for what s3rver does not emulate. */
function s3Error(
  status: number,
  code: string,
  { headers = {}, more = '' }: { headers?: Record<string, string>; more?: string } = {},
): Handler {
  return (_request, response) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    answerError(response, { status, code, more });
  };
}

describe('a server that answers as S3 documents', () => {
  const REGION = { headers: { 'x-amz-bucket-region': 'eu-west-1' } };
  test.each([
    ['a redirect to the region', s3Error(301, 'PermanentRedirect', REGION), /"b" is in region eu-west-1; set AWS_REGION=eu-west-1 \(301/],
    [
      'a signature for another region',
      s3Error(400, 'AuthorizationHeaderMalformed', { more: '<Region>eu-west-1</Region>' }),
      /set AWS_REGION=eu-west-1/,
    ],
    ['a redirect without a region', s3Error(301, 'PermanentRedirect'), /in another region; set AWS_REGION/],
    ['expired credentials', s3Error(400, 'ExpiredToken'), /have expired; refresh them .*\(400 ExpiredToken/],
    ['access denied', s3Error(403, 'AccessDenied'), /access denied; the credentials need s3:GetObject/],
    ['a wrong clock', s3Error(403, 'RequestTimeTooSkewed'), /clock is wrong/],
    ['an archived object', s3Error(403, 'InvalidObjectState'), /restore it first/],
    [
      'an error page that is not XML',
      (_request, response) => response.writeHead(418).end('<Error> teapot'),
      /S3 answered \(418\); expected 200 or 206/,
    ],
  ] as [string, Handler, RegExp][])('%s', async (_what, handler, message) => {
    server = await startHttp(handler);
    undo = setEnv(s3Env(server.url, { key: 'k', secret: 's' }));
    expect(await failure('s3://b/a.tar')).toMatch(message);
  });

  test('access denied to an anonymous request asks for credentials', async () => {
    server = await startHttp(s3Error(403, 'AccessDenied'));
    undo = setEnv(s3Env(server.url));
    expect(await failure('s3://b/a.tar')).toMatch(/anonymous request; set AWS_ACCESS_KEY_ID/);
  });
});

describe('a session that expires during the run', () => {
  const large = noise(3_000_000, 2);
  let s3: S3Server;
  let dir: string;
  beforeAll(async () => {
    s3 = await startS3({ files: { 'a.tar': large } });
  });
  afterAll(() => s3.close());
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'detco-aws-'));
  });
  afterEach(() => rm(dir, { recursive: true }));

  /** How credentials come to whoever asks; `issue` replaces them. */
  const ways = {
    'a credentials file that is rewritten': {
      env: () => ({ AWS_SHARED_CREDENTIALS_FILE: join(dir, 'credentials') }),
      issue: (token: string) =>
        writeFile(
          join(dir, 'credentials'),
          `[default]\naws_access_key_id = S3RVER\naws_secret_access_key = S3RVER\naws_session_token = ${token}\n`,
        ),
    },
    'a credential_process that is asked again': {
      env: () => ({ AWS_CONFIG_FILE: join(dir, 'config') }),
      async issue(token: string) {
        const issued = { Version: 1, AccessKeyId: 'S3RVER', SecretAccessKey: 'S3RVER', SessionToken: token };
        await writeFile(join(dir, 'issued.json'), JSON.stringify(issued));
        await writeFile(join(dir, 'ask.sh'), `echo asked >> ${join(dir, 'log')}\ncat ${join(dir, 'issued.json')}\n`);
        await writeFile(join(dir, 'config'), `[default]\ncredential_process = sh ${join(dir, 'ask.sh')}\n`);
      },
    },
  };
  test.each(Object.entries(ways))('is renewed from %s, in the middle of a shard, as often as it expires', async (_how, { env, issue }) => {
    let token = 'one';
    await issue(token);
    const next: Readonly<Record<number, string>> = { 1: 'two', 3: 'three' };
    let count = 0;
    const gate = await startTokenGate({
      target: s3.endpoint,
      error: { status: 403, code: 'ExpiredTokenException' },
      // Requests 0 and 2 break off; those that resume, 1 and 3, come with a token that has expired by then.
      async valid() {
        const issued = next[count++];
        if (issued !== undefined) await issue((token = issued));
        return token;
      },
      cutAfter: (n) => (n === 0 || n === 2 ? 20_000 : undefined),
    });
    server = gate;
    undo = setEnv({ ...s3Env(gate.url), ...env() });
    const reasons: string[] = [];
    const read = await collect(openShard('s3://shards/a.tar', { onRetry: ({ reason }) => reasons.push(reason) }));
    expect(read.equals(large)).toBe(true);
    expect(gate.refused()).toBe(2);
    expect(reasons.filter((reason) => reason === 'S3 answered ExpiredTokenException')).toHaveLength(2);
  });

  test('is asked for once by many reads that are refused one after the other', async () => {
    const { env, issue } = ways['a credential_process that is asked again'];
    await issue('one');
    let count = 0;
    let go = (): void => {};
    const renewed = new Promise<void>((resolve) => (go = resolve));
    const gate = await startTokenGate({
      target: s3.endpoint,
      // Four requests with the old token; the first is refused once they are here, the others when it has come with the next.
      async valid() {
        const request = count++;
        if (request === 0) {
          await until(() => count === 4);
          await issue('two');
        } else if (request < 4) await renewed;
        else go();
        return 'two';
      },
    });
    server = gate;
    undo = setEnv({ ...s3Env(gate.url), ...env() });
    const reads = await Promise.all(Array.from({ length: 4 }, () => collect(openShard('s3://shards/a.tar'))));
    for (const read of reads) expect(read.equals(large)).toBe(true);
    expect(gate.refused()).toBe(4);
    expect(await readFile(join(dir, 'log'), 'utf8')).toBe('asked\nasked\n');
  });

  test('is waited for while whoever renews it has emptied the file', async () => {
    const { env, issue } = ways['a credentials file that is rewritten'];
    await issue('one');
    const gate = await startTokenGate({
      target: s3.endpoint,
      async valid() {
        await writeFile(join(dir, 'credentials'), '');
        return 'two';
      },
    });
    server = gate;
    undo = setEnv({ ...s3Env(gate.url), ...env() });
    const reasons: string[] = [];
    const onRetry = ({ reason }: RetryEvent): void => {
      reasons.push(reason);
      if (reasons.length === 2) void issue('two');
    };
    expect((await collect(openShard('s3://shards/a.tar', { onRetry }))).equals(large)).toBe(true);
    expect(reasons).toEqual(['S3 answered ExpiredToken', 'there are no AWS credentials any more']);
  });

  test('and is not renewed ends the read at once', async () => {
    const { env, issue } = ways['a credentials file that is rewritten'];
    await issue('one');
    const gate = await startTokenGate({ target: s3.endpoint, valid: () => Promise.resolve('two') });
    server = gate;
    undo = setEnv({ ...s3Env(gate.url), ...env() });
    expect(await failure('s3://shards/a.tar')).toMatch(/AWS credentials have expired; refresh them .*\(400 ExpiredToken/);
    expect(gate.refused()).toBe(2);
  });
});

describe('addresses', () => {
  test('are virtual-host style on AWS, path style for dots and for a custom endpoint', async () => {
    undo = setEnv({ ...s3Env(undefined), AWS_REGION: 'eu-west-1' });
    expect(await bucketAddress('b')).toEqual({ origin: 'https://b.s3.eu-west-1.amazonaws.com', path: '' });
    expect(await bucketAddress('b.c')).toEqual({ origin: 'https://s3.eu-west-1.amazonaws.com', path: '/b.c' });
    process.env.AWS_REGION = 'cn-north-1';
    expect(await bucketAddress('b')).toEqual({ origin: 'https://b.s3.cn-north-1.amazonaws.com.cn', path: '' });
    process.env.AWS_ENDPOINT_URL = 'http://localhost:9000/s3/';
    expect(await bucketAddress('b')).toEqual({ origin: 'http://localhost:9000', path: '/s3/b' });
    process.env.AWS_ENDPOINT_URL_S3 = 'http://localhost:9001';
    expect(await bucketAddress('b')).toEqual({ origin: 'http://localhost:9001', path: '/b' });
    process.env.AWS_ENDPOINT_URL_S3 = 'localhost';
    await expect(bucketAddress('b')).rejects.toThrow(/AWS_ENDPOINT_URL "localhost" is not a URL/);
  });

  test('take the region from the environment, then the profile, then us-east-1', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'detco-aws-'));
    const file = join(dir, 'config');
    await writeFile(file, '[default]\nregion = eu-north-1\n[profile lab]\noutput = json\nregion=ap-south-1\n');
    undo = setEnv({ ...s3Env(undefined), AWS_REGION: undefined, AWS_CONFIG_FILE: file });
    expect(await region()).toBe('eu-north-1');
    process.env.AWS_PROFILE = 'lab';
    expect(await region()).toBe('ap-south-1');
    process.env.AWS_DEFAULT_REGION = 'us-west-2';
    expect(await region()).toBe('us-west-2');
    process.env.AWS_REGION = 'us-west-1';
    expect(await region()).toBe('us-west-1');
    await rm(dir, { recursive: true });
    undo();
    undo = setEnv({ ...s3Env(undefined), AWS_REGION: undefined });
    expect(await region()).toBe('us-east-1');
  });
});
