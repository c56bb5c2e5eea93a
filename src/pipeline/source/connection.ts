/** The sockets of this thread: one pool, opened with the first request. */
import { EnvHttpProxyAgent, interceptors, type Dispatcher } from 'undici';
import { httpLimits } from './retry.js';

interface Sockets {
  readonly agent: EnvHttpProxyAgent;
  /** The same sockets; follows redirects, each attempt from the first URL again (signed target URLs expire). */
  readonly redirecting: Dispatcher;
}

let sockets: Sockets | undefined;
const answered = new Set<string>();

/** HTTP_PROXY, HTTPS_PROXY and NO_PROXY are honoured, as curl and the AWS tools do. */
export function dispatcher({ redirects }: { readonly redirects: boolean }): Dispatcher {
  sockets ??= open();
  return redirects ? sockets.redirecting : sockets.agent;
}

function open(): Sockets {
  const agent = new EnvHttpProxyAgent({ connect: { timeout: httpLimits().timeoutMs } });
  return { agent, redirecting: agent.compose(interceptors.redirect({ maxRedirections: 5 })) };
}

/** Whether a host has answered anything yet in this thread. */
export function hasAnswered(origin: string): boolean {
  return answered.has(origin);
}

export function noteAnswer(origin: string): void {
  answered.add(origin);
}

/** Closes every socket; reads still under way fail. The next request opens a new pool. */
export async function closeSockets(): Promise<void> {
  const open = sockets;
  sockets = undefined;
  answered.clear();
  await open?.agent.destroy();
}
