import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import { nodeReport } from '#dist/common/node-report.js';

const run = promisify(execFile);

interface Endpoint {
  readonly host: string;
  readonly ip4?: string;
}

test('a report asks no server for the names of the hosts that sockets lead to', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const socket = connect(port, '127.0.0.1');
  const [other] = await accepted;
  const before = (process.report as { excludeNetwork?: boolean }).excludeNetwork;
  const report = nodeReport() as { libuv: { remoteEndpoint?: Endpoint }[]; header: object };
  const remote = report.libuv.flatMap(({ remoteEndpoint }) => remoteEndpoint ?? []);
  // Node 20.18 does not tell addresses, and names hosts nevertheless.
  for (const { host, ip4 = host } of remote) expect(host).toBe(ip4);
  expect(report.header).not.toHaveProperty('networkInterfaces');
  expect((process.report as { excludeNetwork?: boolean }).excludeNetwork).toBe(before);
  socket.destroy();
  other.destroy();
  server.close();
});

(process.platform === 'linux' ? test : test.skip)('the limit of open files is told without a report on Linux', async () => {
  const program = `
    import { openFilesLimit } from '#dist/pipeline/machine.js';
    process.report.getReport = () => { throw new Error('a report'); };
    console.log(openFilesLimit());`;
  const node = [process.execPath, '--input-type=module', '--eval', program];
  const { stdout } = await run('sh', ['-c', 'ulimit -n 300 && exec "$@"', 'sh', ...node]);
  expect(stdout).toBe('300\n');
});

(process.platform === 'linux' ? test : test.skip)('the limit of open files is told where no file can be opened any more', async () => {
  const program = `
    import { openSync } from 'node:fs';
    import { openFilesLimit } from '#dist/pipeline/machine.js';
    try { for (;;) openSync('/dev/null'); } catch {}
    const limit = openFilesLimit();
    process.stdout.write(limit + ' ');`;
  const node = [process.execPath, '--input-type=module', '--eval', program];
  const { stdout } = await run('sh', ['-c', 'ulimit -n 300 && exec "$@"', 'sh', ...node]);
  expect(stdout).toBe('300 ');
});
