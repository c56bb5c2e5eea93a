/**
 * Headers that the environment adds to the requests of an origin, such as the token that a gated set asks for.
 *
 *     DETCO_HTTP_HEADERS='data.example.org Authorization: Bearer abc
 *                         http://10.0.0.7:8080 X-Api-Key: def'
 *
 * A header belongs to an origin (scheme, host and port) and not to a request: a list of shards may be another's and name any
 * host, and a redirect leads anywhere. Each hop gets what belongs to it and nothing of what the hop before got. undici (7.30) drops
 * Authorization, Cookie and Proxy-Authorization at a redirect to another origin, and sends every other header on.
 */
import type { Dispatcher } from 'undici';
import type { Headers } from './answer.js';

const EXAMPLE = 'expected lines such as data.example.org Authorization: Bearer TOKEN';
/** `HOST Name: value`, the name as RFC 9110 section 5.6.2 has it. */
const LINE = /^(\S+)\s+([\w!#$%&'*+.^`|~-]+):\s*(.*)$/;
/** RFC 9110 section 5.5: no control character but a tab. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]+$/;
/** What reading decides itself: which bytes, of which version, in which form, over which connection. */
const TAKEN = /^(range|if-.*|accept-encoding|host|content-length|transfer-encoding|connection|te|upgrade|expect)$/;

const HUGGING_FACE = 'https://huggingface.co';

/**
 * Headers for an origin, by lower-case name; of two with one name the later line counts, and both before `HF_TOKEN`.
 * @throws RangeError that names a variable and a line and never shows them: they hold secrets
 */
export function environmentHeaders(origin: string): Headers {
  const lines = (process.env['DETCO_HTTP_HEADERS'] ?? '').split(/\r?\n/);
  const own = lines.flatMap((line, i) => (line.trim() === '' ? [] : [parseLine(line.trim(), i + 1)]));
  return {
    ...hubHeaders(origin),
    ...Object.fromEntries(own.filter((header) => header.origin === origin).map(({ name, value }) => [name, value])),
  };
}

/** Whether `HF_TOKEN` is for this origin: Hugging Face, and the mirror that `HF_ENDPOINT` names. */
export function isHub(origin: string): boolean {
  const mirror = process.env['HF_ENDPOINT'] ?? '';
  return origin === HUGGING_FACE || (URL.canParse(mirror) && new URL(mirror).origin === origin);
}

/** Adds to each request, those of a redirect too, what the environment has for its origin; what it brings itself counts, as a login of its URL. */
export const addEnvironmentHeaders: Dispatcher.DispatcherComposeInterceptor = (dispatch) => (options, handler) => {
  // A record from the reader; name, value, name, value, ... from the hop before.
  const fields = Array.isArray(options.headers) ? pairs(options.headers) : Object.entries(options.headers ?? {});
  const headers = { ...environmentHeaders(String(options.origin)), ...Object.fromEntries(fields) };
  return dispatch({ ...options, headers }, handler);
};

function pairs(flat: readonly string[]): [string, string][] {
  return flat.flatMap((name, i) => (i % 2 === 0 ? [[name, flat[i + 1] ?? '']] : []));
}

function hubHeaders(origin: string): Headers {
  const token = process.env['HF_TOKEN']?.trim();
  if (!token || !isHub(origin)) return {};
  if (!VALUE.test(token)) throw new RangeError('HF_TOKEN holds a character that no HTTP header may hold; expected a token such as hf_...');
  return { authorization: `Bearer ${token}` };
}

function parseLine(line: string, number: number): { readonly origin: string; readonly name: string; readonly value: string } {
  const where = `line ${number} of DETCO_HTTP_HEADERS`;
  const [, host = '', name = '', value = ''] = LINE.exec(line) ?? [];
  const origin = originOf(host);
  if (origin === undefined) throw new RangeError(`${where} does not name a host and a header; ${EXAMPLE}`);
  if (TAKEN.test(name.toLowerCase())) throw new RangeError(`${where} sets ${name}, which belongs to the reader of shards; leave it out`);
  if (!VALUE.test(value)) throw new RangeError(`${where} has no value for ${name}, or one with a character that no HTTP header may hold`);
  return { origin, name: name.toLowerCase(), value };
}

/** `host[:port]` stands for HTTPS; plain HTTP, where anybody on the way reads the header, has to be written out. */
function originOf(host: string): string | undefined {
  const url = host.includes('://') ? host : `https://${host}`;
  if (host === '' || host.endsWith(':') || !URL.canParse(url)) return undefined;
  const { origin, protocol, pathname, username, search } = new URL(url);
  return /^https?:$/.test(protocol) && pathname === '/' && username === '' && search === '' ? origin : undefined;
}
