/**
 * A real S3 server on this machine (s3rver, which checks Signature Version 4) for tests.
 *
 *     const s3 = await startS3({ files: { 'train/000.tar': bytes } });
 *     const undo = setEnv(s3.env);            // credentials, region, endpoint
 *     ... read `${s3.url}/train/000.tar` ...  // s3://shards/train/000.tar
 *     undo();
 *     await s3.close();
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import S3rver from '@20minutes/s3rver';
import { setEnv } from './env.js';

export interface S3Options {
  /** Objects by key. */
  readonly files?: Readonly<Record<string, Uint8Array>>;
  readonly bucket?: string;
}

export interface S3Server {
  /** `http://127.0.0.1:port`; put a chaos proxy before it and pass the proxy's URL as AWS_ENDPOINT_URL. */
  readonly endpoint: string;
  readonly bucket: string;
  /** `s3://bucket` */
  readonly url: string;
  /** Environment under which the server accepts a client, cut off from this machine's own AWS settings. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Writes or replaces an object. */
  put(key: string, body: Uint8Array): Promise<void>;
  /** Connections that a client holds. */
  connections(): Promise<number>;
  close(): Promise<void>;
}

/** The one account s3rver knows. */
const KEY = 'S3RVER';

export async function startS3({ files = {}, bucket = 'shards' }: S3Options = {}): Promise<S3Server> {
  const directory = await mkdtemp(join(tmpdir(), 'detco-s3-'));
  const server = new S3rver({
    address: '127.0.0.1',
    port: 0,
    silent: true,
    directory,
    vhostBuckets: false,
    configureBuckets: [{ name: bucket }],
  });
  const { port } = await server.run();
  const endpoint = `http://127.0.0.1:${port}`;
  const put = async (key: string, body: Uint8Array): Promise<void> => {
    const path = key.split('/').map(encodeURIComponent).join('/');
    const answer = await fetch(`${endpoint}/${bucket}/${path}`, { method: 'PUT', body });
    if (!answer.ok) throw new Error(`PUT ${key}: ${answer.status} ${await answer.text()}`);
    await answer.arrayBuffer();
  };
  for (const [key, body] of Object.entries(files)) await put(key, body);
  return {
    endpoint,
    bucket,
    url: `s3://${bucket}`,
    env: s3Env(endpoint, { key: KEY, secret: KEY }),
    put,
    connections: () =>
      new Promise((resolve, reject) => server.httpServer.getConnections((error, count) => (error ? reject(error) : resolve(count)))),
    async close() {
      server.httpServer.closeAllConnections();
      await server.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Environment of an S3 client; undefined unsets. Without an account it finds no credentials anywhere. */
export function s3Env(
  endpoint: string | undefined,
  account?: { readonly key: string; readonly secret: string },
): Readonly<Record<string, string | undefined>> {
  return {
    AWS_ACCESS_KEY_ID: account?.key,
    AWS_SECRET_ACCESS_KEY: account?.secret,
    AWS_SESSION_TOKEN: undefined,
    AWS_PROFILE: undefined,
    AWS_REGION: 'us-east-1',
    AWS_DEFAULT_REGION: undefined,
    AWS_ENDPOINT_URL: endpoint,
    AWS_ENDPOINT_URL_S3: undefined,
    AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: undefined,
    AWS_NO_SIGN_REQUEST: undefined,
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_CONFIG_FILE: '/nonexistent/config',
    AWS_SHARED_CREDENTIALS_FILE: '/nonexistent/credentials',
  };
}

export { setEnv };
