/** What S3 says when it refuses, and what we tell the user; credentials, regions and addresses. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { bucketAddress } from '#dist/pipeline/source/aws-config.js';
import { closeSources, listShards, openShard, type RetryEvent, SourceError } from '#dist/pipeline/source/index.js';
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
    [
      'a 404 that means something else',
      s3Error(404, 'XAdminUserNotFound'),
      /the server does not know the access key.*\(404 XAdminUserNotFound/,
    ],
    ['a 404 that nobody knows', s3Error(404, 'NoSuchTenant'), /S3 answered \(404 NoSuchTenant NoSuchTenant it is\.\); expected 200 or 206/],
    ['a 404 without a word', (_request, response) => response.writeHead(404).end(), /no such object in bucket "b"; check the key \(404\)/],
    ['a 403 that no permission mends', s3Error(403, 'AccountProblem'), /S3 answered \(403 AccountProblem/],
    ['a session token of another key', s3Error(400, 'InvalidToken'), /check AWS_SESSION_TOKEN \(400 InvalidToken/],
    [
      'a web page of a proxy',
      (_request, response) => response.writeHead(404).end('<!doctype html><HTML><head><title>404 Not\u001b[31m Found</title>'),
      /what answers there is not S3; check AWS_ENDPOINT_URL .* \(404 404 Not \[31m Found\)/,
    ],
  ] as [string, Handler, RegExp][])('%s', async (_what, handler, message) => {
    server = await startHttp(handler);
    undo = setEnv(s3Env(server.url, { key: 'k', secret: 's' }));
    expect(await failure('s3://b/a.tar')).toMatch(message);
  });

  test.each([
    [403, 'AccessDenied'],
    [400, 'UnsupportedAlgorithm'],
  ])('%i %s to an anonymous request asks for credentials', async (status, code) => {
    server = await startHttp(s3Error(status, code));
    undo = setEnv(s3Env(server.url));
    expect(await failure('s3://b/a.tar')).toMatch(/anonymous request; set AWS_ACCESS_KEY_ID/);
  });

  test('a web page in place of a listing is not an empty bucket', async () => {
    server = await startHttp((_request, response) => response.end('<html><head><title>Console</title></head></html>'));
    undo = setEnv(s3Env(server.url, { key: 'k', secret: 's' }));
    await expect(listShards(['s3://b/'])).rejects.toThrow(/what answers there is not S3; check AWS_ENDPOINT_URL .* \(Console\)/);
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

describe('the address of a bucket', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'detco-aws-'));
  });
  afterEach(() => rm(dir, { recursive: true }));

  async function configure(files: { readonly config?: string; readonly credentials?: string }): Promise<void> {
    undo = setEnv({
      ...s3Env(undefined),
      AWS_REGION: undefined,
      AWS_CONFIG_FILE: join(dir, 'config'),
      AWS_SHARED_CREDENTIALS_FILE: join(dir, 'credentials'),
    });
    for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text);
  }
  const originOf = async (bucket = 'b'): Promise<string> => (await bucketAddress(bucket)).origin;
  const regionOf = async (): Promise<string> => (await bucketAddress('b')).region;

  test('is virtual-host style on AWS, path style for dots and for a custom endpoint', async () => {
    undo = setEnv({ ...s3Env(undefined), AWS_REGION: 'eu-west-1' });
    const region = 'eu-west-1';
    expect(await bucketAddress('b')).toEqual({ origin: 'https://b.s3.eu-west-1.amazonaws.com', path: '', region });
    expect(await bucketAddress('b.c')).toEqual({ origin: 'https://s3.eu-west-1.amazonaws.com', path: '/b.c', region });
    process.env.AWS_REGION = 'cn-north-1';
    expect(await originOf()).toBe('https://b.s3.cn-north-1.amazonaws.com.cn');
    process.env.AWS_ENDPOINT_URL = 'http://localhost:9000/s3/';
    expect(await bucketAddress('b')).toMatchObject({ origin: 'http://localhost:9000', path: '/s3/b' });
    process.env.AWS_ENDPOINT_URL_S3 = 'http://localhost:9001';
    expect(await bucketAddress('b')).toMatchObject({ origin: 'http://localhost:9001', path: '/b' });
  });

  test.each([
    [
      'AWS_ENDPOINT_URL',
      'localhost:9000',
      'AWS_ENDPOINT_URL, "localhost:9000", has no scheme; set it to http://localhost:9000, or to https',
    ],
    ['AWS_ENDPOINT_URL', '10.0.0.7:9000/s3', 'AWS_ENDPOINT_URL, "10.0.0.7:9000/s3", has no scheme; set it to http://10.0.0.7:9000/s3'],
    ['AWS_ENDPOINT_URL_S3', 'minio', 'AWS_ENDPOINT_URL_S3, "minio", has no scheme; set it to http://minio'],
    [
      'AWS_ENDPOINT_URL_S3',
      's3://minio',
      'AWS_ENDPOINT_URL_S3, "s3://minio", is not an address; expected for example http://localhost:9000',
    ],
    ['AWS_ENDPOINT_URL', 'me:secret@minio:9000', 'AWS_ENDPOINT_URL, "minio:9000", has no scheme'],
  ])('cannot be made of %s=%s, and says why', async (name, value, message) => {
    await configure({});
    process.env[name] = value;
    await expect(bucketAddress('b')).rejects.toThrow(message);
  });

  test('has the region of the environment, then of the profile, then us-east-1', async () => {
    await configure({ config: '[default]\nregion = eu-north-1 # the old lab\n[profile lab]\noutput = json\nregion=ap-south-1 ; ours\n' });
    expect(await regionOf()).toBe('eu-north-1');
    process.env.AWS_PROFILE = 'lab';
    expect(await regionOf()).toBe('ap-south-1');
    process.env.AWS_DEFAULT_REGION = 'us-west-2';
    expect(await regionOf()).toBe('us-west-2');
    process.env.AWS_REGION = 'us-west-1';
    expect(await regionOf()).toBe('us-west-1');
    undo();
    undo = setEnv({ ...s3Env(undefined), AWS_REGION: undefined });
    expect(await regionOf()).toBe('us-east-1');
  });

  test('has the endpoint of the first that is set, in the order that AWS documents', async () => {
    await configure({
      config: `
[profile lab]
services = lab-services
endpoint_url = http://profile:1
s3 =
  addressing_style = path
  endpoint_url = http://not-this-one:1
[services lab-services]
dynamodb =
  endpoint_url = http://dynamodb:1
s3 =
  endpoint_url = http://services:1  # the big disk
[profile plain]
endpoint_url = http://plain:1 # a comment
[profile refusing]
ignore_configured_endpoint_urls = true
endpoint_url = http://refused:1
`,
    });
    const origins: string[] = [];
    const look = async (env: Readonly<Record<string, string>>): Promise<unknown> => {
      Object.assign(process.env, env);
      return origins.push(await originOf());
    };
    await look({});
    await look({ AWS_PROFILE: 'refusing' });
    await look({ AWS_PROFILE: 'plain' });
    await look({ AWS_PROFILE: 'lab' });
    await look({ AWS_ENDPOINT_URL: 'http://environment:1' });
    await look({ AWS_ENDPOINT_URL_S3: 'http://environment-s3:1' });
    await look({ AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'true' });
    const aws = 'https://b.s3.us-east-1.amazonaws.com';
    expect(origins).toEqual([aws, aws, 'http://plain:1', 'http://services:1', 'http://environment:1', 'http://environment-s3:1', aws]);
  });

  test('cannot be told for a profile or services that are not there', async () => {
    await configure({
      config: '[default]\nregion = eu-west-1\n[profile lab]\nservices = gone\n',
      credentials: '[old]\naws_access_key_id = k\n',
    });
    process.env.AWS_PROFILE = 'lba';
    await expect(bucketAddress('b')).rejects.toThrow(
      'AWS_PROFILE names "lba", which is not in ~/.aws/config or ~/.aws/credentials; there are "default", "lab", "old"',
    );
    process.env.AWS_PROFILE = 'lab';
    await expect(bucketAddress('b')).rejects.toThrow(
      'the AWS profile "lab" names services "gone", and ~/.aws/config has no [services gone]',
    );
  });
});
