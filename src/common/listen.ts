/** Servers that listen, or say in words why they cannot. */
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { codeOf } from './error-code.js';

/** The port cannot be listened on. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
}

/**
 * @param port 0 is any that is free
 * @returns the port
 * @throws ListenError in words, such as of a port that is taken
 */
export async function listen(server: Server, port: number, host: string): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    // Also later: what a connection does wrong must not end a training.
    server.on('error', (error) => reject(listenError(error, host, port))).listen(port, host, resolve);
  });
  return (server.address() as AddressInfo).port;
}

function listenError(error: Error, host: string, port: number): ListenError {
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: `port ${port} of ${host} is taken by another program, perhaps another detco: end it, or give another port`,
    EACCES: `port ${port} of ${host} is not allowed to this user: give a port from 1024 on`,
    EADDRNOTAVAIL: `${host} is no address of this machine: give 127.0.0.1, 0.0.0.0 or one that it has`,
    ENOTFOUND: `${host} is no host name that can be found: give 127.0.0.1, 0.0.0.0 or an address of this machine`,
  };
  return new ListenError(reasons[codeOf(error) ?? ''] ?? `${host}:${port} cannot be listened on: ${error.message}`, { cause: error });
}
