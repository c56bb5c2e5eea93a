/** Shards in S3, or in anything that speaks its protocol (MinIO, Ceph, R2, GCS) behind AWS_ENDPOINT_URL. */
import { XMLParser } from 'fast-xml-parser';
import type { Refusal } from './answer.js';
import { type Credentials, credentials, encode, forgetCredentials, sameCredentials, toWire } from './aws.js';
import { bucketAddress } from './aws-config.js';
import { openRemote } from './cache.js';
import { askRemote, fetchText, kindOf, type RemoteObject } from './remote.js';
import { TransientError } from './retry.js';
import { type FoundShard, type ListOptions, SourceError, type OpenOptions } from './source.js';
import { isStrong, validatorOf, versionOf } from './version.js';

/** Streams the object `s3://bucket/key`. */
export async function* openS3(location: string, options: OpenOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
  yield* openRemote(await shardObject(location), options);
}

/** Size and version of an object, for the price of a byte. */
export async function askS3(location: string, options: OpenOptions = {}): Promise<FoundShard> {
  return askRemote(await shardObject(location), options);
}

function shardObject(location: string): Promise<RemoteObject> {
  const { bucket, key } = parseS3(location);
  if (key === '' || key.endsWith('/'))
    throw new SourceError(location, 'names no object; expected s3://bucket/key.tar', { kind: 'malformed' });
  const path = `/${key.split('/').map(encode).join('/')}`;
  return s3Object(location, bucket, path, {});
}

/**
 * The tar files that `s3://bucket/prefix/` or a glob such as `s3://bucket/train-*.tar` names, sorted by code unit; any
 * other location stands for itself and is not looked up. In a glob `*` stays within a slash and `**` does not; as on a disk
 * neither stands for a name that begins with a dot, such as the `._a.tar` of macOS.
 */
export async function listS3(location: string, options: ListOptions = {}): Promise<FoundShard[]> {
  const { bucket, key } = parseS3(location);
  const star = key.indexOf('*');
  if (star === -1 && key !== '' && !key.endsWith('/')) return [{ location }];
  const prefix = star === -1 ? key : key.slice(0, star);
  const matches = star === -1 ? /\.tar$/ : globPattern(key);
  const objects: ListedObject[] = [];
  let token: string | undefined;
  do {
    const query = {
      'list-type': '2',
      prefix,
      ...(token !== undefined && { 'continuation-token': token }),
    };
    const page = parsePage(location, await fetchText(await s3Object(location, bucket, '', query), options));
    objects.push(...page.objects);
    token = page.next;
  } while (token !== undefined);
  return objects
    .filter(({ key: name }) => matches.test(name) && !isHidden(name.slice(prefix.length), prefix, key.slice(prefix.length)))
    .toSorted((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ key: name, bytes, etag }) => ({
      location: `s3://${bucket}/${name}`,
      bytes,
      version: etag !== undefined && isStrong(etag) ? validatorOf({ etag, lastModified: undefined, total: bytes }) : undefined,
    }));
}

function parseS3(location: string): { readonly bucket: string; readonly key: string } {
  const [, bucket, key] = /^s3:\/\/([^/]+)(?:\/(.*))?$/is.exec(location) ?? [];
  if (bucket === undefined)
    throw new SourceError(location, 'is not an S3 location; expected s3://bucket/key.tar or s3://bucket/prefix/', { kind: 'malformed' });
  return { bucket, key: key ?? '' };
}

/** Whether a part of a name begins with a dot that the specification, `prefix` and `pattern`, does not ask for. */
function isHidden(rest: string, prefix: string, pattern: string): boolean {
  const begins = prefix === '' || prefix.endsWith('/') ? /(?:^|\/)\./ : /\/\./;
  return begins.test(rest) && !pattern.includes('/.');
}

function globPattern(glob: string): RegExp {
  const source = glob.replace(/\*\*\/?|\*|[.+?^${}()|[\]\\]/g, (token) =>
    token.startsWith('**') ? '.*' : token === '*' ? '[^/]*' : `\\${token}`,
  );
  return new RegExp(`^${source}$`, 's');
}

async function s3Object(location: string, bucket: string, path: string, query: Readonly<Record<string, string>>): Promise<RemoteObject> {
  const address = await bucketAddress(bucket);
  let identity: Credentials | undefined;
  let expired: Credentials | undefined;
  return {
    location,
    redirects: false,
    async request(headers) {
      identity = await credentials(location);
      return toWire({ ...address, path: address.path + path || '/', query, headers }, identity);
    },
    refused(answer) {
      const error = parseError(answer);
      if (error.code === 'RequestTimeout') return new TransientError('S3 answered RequestTimeout');
      if (isExpired(error.code) && identity && !(expired && sameCredentials(identity, expired))) {
        // A long run outlives many sessions: whoever renews one puts new credentials where the chain looks.
        expired = identity;
        forgetCredentials(identity);
        return new TransientError(`S3 answered ${error.code}`);
      }
      const anonymous = identity === undefined;
      // The next shard looks again: an instance's credentials may only have been late.
      if (anonymous) forgetCredentials();
      const other = error.page !== undefined || (error.status === 404 && error.code !== 'NoSuchKey' && error.code !== '');
      return new SourceError(location, remedy(error, { bucket, anonymous, listing: path === '' }), {
        kind: other ? undefined : kindOf(error.status),
      });
    },
  };
}

interface S3Error {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly region: string | undefined;
  /** What a web page in place of S3's error says of itself. */
  readonly page: string | undefined;
}

// Text stays text (keys may be digits, or end in a space); htmlEntities is what decodes numeric character references.
const parser = new XMLParser({ parseTagValue: false, trimValues: false, htmlEntities: true, isArray: (name) => name === 'Contents' });

function parseError({ status, headers, body }: Refusal): S3Error {
  const fields = (/<Error[\s>]/.test(body) ? parser.parse(body).Error : undefined) as
    | Partial<Record<'Code' | 'Message' | 'Region', string>>
    | undefined;
  return {
    status,
    code: fields?.Code ?? '',
    message: fields?.Message ?? '',
    region: headers['x-amz-bucket-region'] ?? fields?.Region,
    page: fields ? undefined : titleOf(body),
  };
}

/** undefined for what is no web page. */
function titleOf(body: string): string | undefined {
  if (!/<html[\s>]/i.test(body)) return undefined;
  return /<title[^>]*>\s*([^<]{1,100})/i.exec(body)?.[1]?.trim() ?? '';
}

/** S3 says ExpiredToken (400); STS and what imitates it ExpiredTokenException (403). */
function isExpired(code: string): boolean {
  return code.startsWith('ExpiredToken') || code === 'TokenRefreshRequired' || code === 'RequestExpired';
}

const NOT_S3 = 'what answers there is not S3; check AWS_ENDPOINT_URL (the port of the API, not that of a console) and HTTP_PROXY';

/** Codes: Amazon S3 API reference, "Error responses". */
function remedy(
  error: S3Error,
  { bucket, anonymous, listing }: { readonly bucket: string; readonly anonymous: boolean; readonly listing: boolean },
): string {
  const { status, code, message, page } = error;
  const said = `(${oneLine([status, code, message, page].filter(Boolean).join(' '))})`;
  if (page !== undefined) return `${NOT_S3} ${said}`;
  if (isExpired(code)) return `the AWS credentials have expired; refresh them (aws sso login, or new AWS_SESSION_TOKEN) ${said}`;
  if (
    error.region !== undefined &&
    (status === 301 || status === 307 || code === 'AuthorizationHeaderMalformed' || code === 'IllegalLocationConstraintException')
  ) {
    return `bucket "${bucket}" is in region ${error.region}; set AWS_REGION=${error.region} ${said}`;
  }
  if (status === 301 || status === 307) return `bucket "${bucket}" is in another region; set AWS_REGION to it ${said}`;
  switch (code) {
    case 'NoSuchBucket':
      return `no such bucket "${bucket}"; check its name, AWS_PROFILE and AWS_ENDPOINT_URL ${said}`;
    case 'InvalidAccessKeyId':
    // versitygw, with status 404.
    case 'XAdminUserNotFound':
      return `the server does not know the access key; check AWS_ACCESS_KEY_ID or AWS_PROFILE ${said}`;
    case 'SignatureDoesNotMatch':
      return `the secret key does not belong to the access key; check AWS_SECRET_ACCESS_KEY ${said}`;
    case 'InvalidToken':
      return `the session token does not belong to the access key; check AWS_SESSION_TOKEN ${said}`;
    case 'RequestTimeTooSkewed':
      return `this machine's clock is wrong; set it ${said}`;
    case 'InvalidObjectState':
      return `the object is in an archive class; restore it first ${said}`;
  }
  if (status === 404 && (code === '' || code === 'NoSuchKey')) return `no such object in bucket "${bucket}"; check the key ${said}`;
  // rclone answers 400.
  if (anonymous && (status === 400 || status === 401 || status === 403))
    return `access denied to an anonymous request; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE ${said}`;
  if ((status === 401 || status === 403) && (code === '' || code === 'AccessDenied')) {
    const right = listing ? 's3:ListBucket' : 's3:GetObject';
    return `access denied; the credentials need ${right}, and without s3:ListBucket a missing key looks the same ${said}`;
  }
  return `S3 answered ${said}; expected 200 or 206`;
}

/** Of what a server says. */
const LONGEST_SAID = 300;

/** What a server says, on one line. */
function oneLine(text: string): string {
  return text.slice(0, LONGEST_SAID).replace(/[\p{Cc}\s]+/gu, ' ');
}

interface ListedObject {
  readonly key: string;
  readonly bytes: number | undefined;
  readonly etag: string | undefined;
}

interface Page {
  readonly objects: readonly ListedObject[];
  readonly next: string | undefined;
}

function parsePage(location: string, text: string): Page {
  if (!/<ListBucketResult[\s>/]/.test(text)) {
    const title = titleOf(text);
    throw new SourceError(location, `${NOT_S3}${title ? ` (${oneLine(title)})` : ''}`);
  }
  const result = parser.parse(text).ListBucketResult as {
    readonly Contents?: readonly { readonly Key: string; readonly Size?: string; readonly ETag?: string }[];
    readonly NextContinuationToken?: string;
  };
  return {
    objects: (result.Contents ?? []).map(({ Key: key, Size: size, ETag: etag }) => ({
      key,
      bytes: size !== undefined && /^\d+$/.test(size) ? Number(size) : undefined,
      etag: versionOf(200, etag === undefined ? {} : { etag }).etag,
    })),
    next: result.NextContinuationToken,
  };
}
