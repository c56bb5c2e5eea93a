/** The sockets of this thread: one pool, opened with the first request. */
import { EnvHttpProxyAgent, interceptors, type Dispatcher } from 'undici';
import { addEnvironmentHeaders } from './environment-headers.js';
import { httpLimits } from './retry.js';

/** In a row; a mirror and a login make three or so. */
export const MOST_REDIRECTS = 5;

interface Sockets {
  readonly agent: EnvHttpProxyAgent;
  /** The same sockets; adds the headers of the environment and follows redirects, each attempt from the first URL again (signed target URLs expire). */
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
  const agent = new EnvHttpProxyAgent({
    connect: { timeout: httpLimits().timeoutMs },
    ...proxy('httpProxy', 'http_proxy', 'HTTP_PROXY'),
    ...proxy('httpsProxy', 'https_proxy', 'HTTPS_PROXY'),
  });
  return { agent, redirecting: agent.compose(addEnvironmentHeaders, interceptors.redirect({ maxRedirections: MOST_REDIRECTS })) };
}

/** A proxy without a scheme speaks HTTP, as curl has it; undici wants the scheme. */
function proxy(option: 'httpProxy' | 'httpsProxy', ...names: readonly string[]): EnvHttpProxyAgent.Options {
  const value = names.map((name) => process.env[name]).find((text) => text);
  return value === undefined ? {} : { [option]: value.includes('://') ? value : `http://${value}` };
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
