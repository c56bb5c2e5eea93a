/** Which version of an object an answer belongs to, and whether bytes of two answers may be joined. */

/** Validators of one answer (RFC 9110 section 8.8). */
export interface Version {
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
  /** Bytes of the whole object, when the server says. */
  readonly total: number | undefined;
}

/** The bytes that an answer holds of an object. */
export interface Part {
  /** The first of them. */
  readonly first: number;
  /** Bytes of the whole object, when the server says. */
  readonly total: number | undefined;
}

/**
 * @param headers of an answer 200 or 206
 * @returns undefined for the whole object, and for an answer 206 that does not say which part it is
 */
export function partOf(status: number, headers: Readonly<Record<string, string>>): Part | undefined {
  const [, first, last, total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(headers['content-range'] ?? '') ?? [];
  if (first === undefined) return undefined;
  const bytes = Number(last) - Number(first) + 1;
  // `rclone serve s3` (1.68 to 1.75) sends every part with status 200. RFC 9110 section 14.4 gives Content-Range no meaning there,
  // so it counts when Content-Length says the same.
  if (status === 200 && (String(bytes) === total || String(bytes) !== headers['content-length'])) return undefined;
  return { first: Number(first), total: total === '*' ? undefined : Number(total) };
}

/** @param headers of an answer 200 or 206 */
export function versionOf(status: number, headers: Readonly<Record<string, string>>): Version {
  const { etag, 'last-modified': lastModified, 'content-length': length } = headers;
  const whole = status === 206 || length === undefined ? undefined : Number(length);
  const part = partOf(status, headers);
  return { etag: etag !== undefined && isBlank(etag) ? undefined : etag, lastModified, total: part ? part.total : whole };
}

/** What a server sends that has no tag to give, such as `rclone serve s3` over a remote without MD5: the same for all objects. */
function isBlank(etag: string): boolean {
  return /^(W\/)?("")?$/.test(etag);
}

/**
 * Why bytes of the two must not be joined; undefined when they may. A strong ETag decides alone. A weak one does not
 * promise equal bytes, so Last-Modified must be equal too; without any validator nothing is known and nothing is joined.
 */
export function difference(was: Version, is: Version): string | undefined {
  if (was.total !== undefined && is.total !== undefined && was.total !== is.total) return changed('size', was.total, is.total);
  if (was.etag !== is.etag) return changed('ETag', was.etag, is.etag);
  if (was.etag !== undefined && isStrong(was.etag)) return undefined;
  if (was.lastModified !== is.lastModified) return changed('Last-Modified', was.lastModified, is.lastModified);
  if (was.etag !== undefined || was.lastModified !== undefined) return undefined;
  return 'the connection broke, and the server sends neither ETag nor Last-Modified, so it is unknown whether the rest belongs to the same object; serve it with either header';
}

/** Conditional requests compare strongly (RFC 9110 section 13.1.1): a weak ETag never passes them. */
export function isStrong(etag: string): boolean {
  return !etag.startsWith('W/');
}

function changed(what: string, was: string | number | undefined, is: string | number | undefined): string {
  return `object changed while it was read (${what} ${was ?? 'none'} -> ${is ?? 'none'}); the two must not be joined: put new data under a new name, and start this shard again`;
}

/** Text that is the same for two answers only if their bytes are; undefined when the server gives nothing to tell versions apart. */
export function validatorOf({ etag, lastModified }: Version): string | undefined {
  // `rclone serve s3` (1.75) leaves the quotes out where it lists objects.
  if (etag !== undefined && isStrong(etag)) return etag.startsWith('"') ? etag : `"${etag}"`;
  return etag === undefined && lastModified === undefined ? undefined : `${etag ?? 'no ETag'}, ${lastModified ?? 'no Last-Modified'}`;
}
