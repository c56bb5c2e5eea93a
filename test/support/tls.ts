/** HTTPS and HTTP on one port, so that two origins differ in their scheme alone. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer as createHttp } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Handler } from './http.js';

export const hasOpenssl = spawnSync('openssl', ['version'], { stdio: 'ignore' }).status === 0;

export interface BothServer {
  /** `127.0.0.1:port` */
  readonly host: string;
  /** File of the certificate, for NODE_EXTRA_CA_CERTS of a process that is to trust it. */
  readonly certificate: string;
  close(): Promise<void>;
}

/** @param handler for the requests of either side */
export async function startBoth(handler: (secure: boolean) => Handler): Promise<BothServer> {
  const dir = await mkdtemp(join(tmpdir(), 'detco-tls-'));
  const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-subj',
      '/CN=127.0.0.1',
      '-addext',
      'subjectAltName=IP:127.0.0.1',
      '-keyout',
      key,
      '-out',
      cert,
    ],
    {
      stdio: 'ignore',
    },
  );
  const secure = createHttps({ key: readFileSync(key), cert: readFileSync(cert) }, (...args) => void handler(true)(...args));
  const plain = createHttp((...args) => void handler(false)(...args));
  // A TLS connection begins with a record of type 22.
  const server = createServer((socket) => {
    socket.once('readable', () => {
      const first = socket.read(1) as Buffer | null;
      if (first === null) return;
      socket.unshift(first);
      (first[0] === 22 ? secure : plain).emit('connection', socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    certificate: cert,
    async close() {
      await new Promise((resolve) => server.close(resolve));
      await rm(dir, { recursive: true });
    },
  };
}
