/** Who may ask: on loopback every program of this machine, but no web page of another site; from elsewhere who has the token. */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1|\[::1\])$/i;

export function isLoopback(host: string): boolean {
  return LOOPBACK.test(host);
}

/** What becomes of a request: `set-cookie` has shown the token, and need not show it again. */
export type Verdict = 'allowed' | 'set-cookie' | 'wrong host' | 'no token';

export class Gate {
  readonly token: string | undefined;
  readonly #cookie: string;

  /** @param port of the server: browsers keep cookies by host alone */
  constructor(host: string, port: number) {
    this.token = isLoopback(host) ? undefined : randomBytes(18).toString('base64url');
    this.#cookie = `detco-watch-${port}`;
  }

  get setCookie(): string {
    return `${this.#cookie}=${this.token}; HttpOnly; SameSite=Strict; Path=/`;
  }

  judge({ headers, url = '/' }: IncomingMessage): Verdict {
    if (this.token === undefined) return isLoopback(hostnameOf(headers.host)) ? 'allowed' : 'wrong host';
    const shown = new URLSearchParams(url.split('?')[1]).get('token');
    if (shown !== null) return this.#isToken(shown) ? 'set-cookie' : 'no token';
    const cookies = (headers.cookie ?? '').split(/; */);
    return cookies.some((cookie) => cookie.startsWith(`${this.#cookie}=`) && this.#isToken(cookie.slice(this.#cookie.length + 1)))
      ? 'allowed'
      : 'no token';
  }

  #isToken(text: string): boolean {
    const [given, wanted] = [Buffer.from(text), Buffer.from(this.token ?? '')];
    return given.length === wanted.length && timingSafeEqual(given, wanted);
  }
}

/** A name that another site's owner lets point to 127.0.0.1 is not the machine's own: DNS rebinding. */
function hostnameOf(host = ''): string {
  return host.replace(/:\d+$/, '');
}
