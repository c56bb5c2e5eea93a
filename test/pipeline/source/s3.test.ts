/** What S3 says when it refuses, and what we tell the user; credentials, regions and addresses. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { bucketAddress, region } from '#dist/pipeline/source/aws.js';
import { closeSources, openShard, SourceError } from '#dist/pipeline/source/index.js';
import { collect, noise } from '../../support/bytes.js';
import { setEnv } from '../../support/env.js';
import { startHttp, type Handler, type HttpServer } from '../../support/http.js';
import { s3Env, startS3, type S3Server } from '../../support/s3.js';

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
    const xml = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${code} it is.</Message>${more}<RequestId>1</RequestId></Error>`;
    response.writeHead(status, { 'content-type': 'application/xml', ...headers }).end(xml);
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

  test('credentials that expire during the run are read again', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'detco-aws-'));
    const file = join(dir, 'credentials');
    const write = (key: string): Promise<void> => writeFile(file, `[default]\naws_access_key_id = ${key}\naws_secret_access_key = s\n`);
    await write('OLD');
    server = await startHttp((request, response) => {
      if (request.headers.authorization?.includes('Credential=NEW/')) response.end(body);
      else void write('NEW').then(() => s3Error(400, 'ExpiredToken')(request, response));
    });
    undo = setEnv({ ...s3Env(server.url), AWS_SHARED_CREDENTIALS_FILE: file });
    expect((await collect(openShard('s3://b/a.tar'))).equals(body)).toBe(true);
    expect(server.requests).toHaveLength(2);
    await rm(dir, { recursive: true });
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
