/**
 * What a shard is, apart from how it is reached: its location without login and signature.
 *
 *     https://user:password@host/a.tar?versionId=7&X-Amz-Signature=...   ->   https://host/a.tar?versionId=7
 *
 * Whatever compares, hashes, stores or shows a location uses this one. A changed password or a fresh signature is then the
 * same shard, and no secret reaches a file, a message or a log.
 */

/** Parameters of signatures, their expiry and their key, by who signs; lower case. All others say what the object is. */
const SIGNERS = [
  // AWS Signature Version 2, CloudFront, Google Cloud Storage V2, Cloud CDN, OSS, OBS
  'awsaccesskeyid accesskeyid ossaccesskeyid googleaccessid key-pair-id keyname urlprefix expires signature policy security-token',
  // Azure: the other parameters of a shared access signature come with this one
  'sig',
  // Akamai, Google Media CDN, Cloudflare, Bunny, Backblaze
  'hdnts hdnea hdntl __gda__ __token__ edge-cache-token verify token_path authorization',
  // Servers of one's own
  'token access_token auth_token private_token auth auth_key api_key api-key apikey access_key password passwd pwd secret jwt credential',
];
const SIGNING = new Set(SIGNERS.flatMap((names) => names.split(' ')));

/** AWS Signature Version 4, Google Cloud Storage V4, Hugging Face's storage, OSS, OBS, COS. */
const SIGNING_PREFIX =
  /^(?:x-(?:amz|goog|xet)-|x-(?:oss|obs)-(?:signature|credential|date|expires|additional|security)|x-cos-security|q-(?:ak|sign|signature|key|header|url)(?:-|$))/;

/** Of a shared access signature of Azure (REST reference, "Create a service SAS", "user delegation SAS"): names too short to be removed without it. */
const AZURE = /^(?:sv|ss|srt|sr|sp|st|se|spr|sip|si|skoid|sktid|skt|ske|sks|skv|skdutid|saoid|suoid|sduoid|scid|sdd|ses|srh|srq)$/;

const LOGIN = /^([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i;
/** A scheme of any length would be looked for from each character of a long word to its end. */
const URL_IN_TEXT = /[a-z][a-z0-9+.-]{0,31}:\/\/[^\s"'`<>]+/gi;

/** The location of a shard, or a specification of shards, without login, signature and fragment; a path stays as it is. */
export function identityOf(location: string): string {
  const scheme = schemeOf(location);
  if (scheme === undefined || scheme === 'file') return location;
  const shown = withoutLogin(location);
  // A question mark is a character of an S3 key like any other.
  if (scheme === 's3') return shown;
  const [, place = '', query] = /^([^?#]*)(?:\?([^#]*))?/s.exec(shown) ?? [];
  if (query === undefined) return place;
  const parameters = query.split('&');
  const names = parameters.map((parameter) => nameOf(parameter));
  const azure = names.includes('sig');
  const kept = parameters.filter((_, i) => {
    const name = names[i] ?? '';
    return !(SIGNING.has(name) || SIGNING_PREFIX.test(name) || (azure && AZURE.test(name)));
  });
  return kept.length === 0 ? place : `${place}?${kept.join('&')}`;
}

/** A text in which every URL is its identity. */
export function withoutSecrets(text: string): string {
  return text.replace(URL_IN_TEXT, identityOf);
}

/** The name of a shard wherever it lies: the last part of its path, and what the query says of the object. */
export function shardName(location: string): string {
  const shown = identityOf(location);
  if (schemeOf(shown) === undefined) return lastPart(shown.replaceAll('\\', '/'));
  const [, path = '', query = ''] = schemeOf(shown) === 's3' ? [shown, shown] : (/^([^?]*)(\?.*)?$/s.exec(shown) ?? []);
  return decoded(lastPart(path)) + query;
}

/** The scheme of a URL in lower case; undefined for a path. */
export function schemeOf(location: string): string | undefined {
  return /^([a-z][a-z0-9+.-]*):\/\//i.exec(location)?.[1]?.toLowerCase();
}

function withoutLogin(location: string): string {
  // A password with a slash or a question mark in it makes no URL, and would be taken for a path.
  return URL.canParse(location) ? location.replace(LOGIN, '$1') : location.replace(/^([a-z][a-z0-9+.-]*:\/\/).*@/is, '$1');
}

function nameOf(parameter: string): string {
  return decoded(parameter.replace(/=.*$/s, '')).toLowerCase();
}

function lastPart(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** Without percent-encoding; a percent sign that encodes nothing stands for itself, as it does for a browser. */
export function decoded(text: string): string {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (run) => {
    try {
      return decodeURIComponent(run);
    } catch {
      return run;
    }
  });
}
