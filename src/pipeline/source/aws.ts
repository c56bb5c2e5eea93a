/** Who we are to S3: credentials, and the signature of a request. */
import { Sha256 } from '@smithy/core/checksum';
import { SignatureV4 } from '@smithy/signature-v4';
import type { Headers, RemoteRequest } from './answer.js';
import { TransientError } from './retry.js';
import { reasonOf, SourceError } from './source.js';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

type CredentialProvider = () => Promise<Credentials>;

/** The environment that decides which credentials are found: a change of any of it asks the chain again. */
const IDENTITY = [
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'AWS_PROFILE',
  'AWS_SHARED_CREDENTIALS_FILE',
  'AWS_CONFIG_FILE',
];

interface Chain {
  readonly provider: Promise<CredentialProvider | undefined>;
  /** What it gave last. */
  last?: Credentials | undefined;
}

const chains = new Map<string, Chain>();
/** Identities under which there have been credentials. */
const signed = new Set<string>();

/**
 * Credentials as the AWS tools find them (environment, profile, SSO, web identity, container, instance), refreshed
 * before they expire.
 * @returns undefined for an anonymous request: AWS_NO_SIGN_REQUEST is set, or there are no credentials anywhere
 * @throws SourceError when there are some and they cannot be loaded; TransientError when there were some and are none
 */
export async function credentials(location: string): Promise<Credentials | undefined> {
  if (/^(1|true|yes)$/i.test(process.env.AWS_NO_SIGN_REQUEST ?? '')) return undefined;
  const key = identityKey();
  const chain: Chain = chains.get(key) ?? { provider: findProvider() };
  chains.set(key, chain);
  try {
    const provider = await chain.provider;
    chain.last = await provider?.();
  } catch (error) {
    chains.delete(key);
    throw new SourceError(
      location,
      `AWS credentials cannot be loaded: ${reasonOf(error)}; log in again or set AWS_PROFILE, or AWS_NO_SIGN_REQUEST=1 for a public bucket`,
      { cause: error },
    );
  }
  if (chain.last) signed.add(key);
  else if (signed.has(key)) {
    // Whoever renews them may have emptied the file to write it anew.
    chains.delete(key);
    throw new TransientError('there are no AWS credentials any more');
  }
  return chain.last;
}

/**
 * Drops what is cached, so that the next request reads files and services again.
 * @param refused drops only these, if they are the last ones still: of many reads that are refused at once one asks again
 */
export function forgetCredentials(refused?: Credentials): void {
  if (!refused) signed.clear();
  for (const [key, { last }] of chains) if (!refused || (last && sameCredentials(last, refused))) chains.delete(key);
}

export function sameCredentials(a: Credentials, b: Credentials): boolean {
  return a.accessKeyId === b.accessKeyId && a.secretAccessKey === b.secretAccessKey && a.sessionToken === b.sessionToken;
}

function identityKey(): string {
  return JSON.stringify(IDENTITY.map((name) => process.env[name]));
}

async function findProvider(): Promise<CredentialProvider | undefined> {
  // Loaded here because the package takes a tenth of a second and most runs read local files.
  const { fromNodeProviderChain } = await import('@aws-sdk/credential-providers');
  // The SDK keeps files it has read for good, also over a renewal of what is in them.
  const provider = fromNodeProviderChain({ ignoreCache: true });
  try {
    await provider();
  } catch (error) {
    // The chain's words when every provider has passed; anything else is a provider that should have worked.
    if (/could not load credentials from any providers/i.test(reasonOf(error))) return undefined;
    throw error;
  }
  return provider;
}

export interface S3Request {
  readonly origin: string;
  /** For which it is signed. */
  readonly region: string;
  /** Already percent-encoded. */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: Headers;
}

/** Makes the request that goes on the wire: signed (Signature Version 4) when there are credentials. */
export async function toWire(
  { origin, region, path, query, headers }: S3Request,
  identity: Credentials | undefined,
): Promise<RemoteRequest> {
  const search = Object.keys(query)
    .toSorted()
    .map((name) => `${encode(name)}=${encode(query[name] ?? '')}`)
    .join('&');
  const target = { origin, path: search === '' ? path : `${path}?${search}` };
  if (!identity) return { ...target, headers };
  const { protocol, hostname, host } = new URL(origin);
  // S3 signs the path as it is sent; other services encode it twice.
  const signer = new SignatureV4({
    service: 's3',
    region,
    credentials: identity,
    sha256: Sha256,
    uriEscapePath: false,
  });
  const request = { method: 'GET', protocol, hostname, path, query: { ...query }, headers: { ...headers, host } };
  // GCS rewrites Accept-Encoding before it checks the signature.
  const signed = await signer.sign(request, { unsignableHeaders: new Set(['accept-encoding']) });
  return { ...target, headers: signed.headers };
}

/** Percent-encoding as S3 signs it: all but RFC 3986's unreserved characters. */
export function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}
