/** Codes of failed system calls, requests and connections. */

/** The `code` of a Node or undici error, or of its cause. Not by `instanceof`: an error may come from another realm. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  if ('code' in error && typeof error.code === 'string') return error.code;
  return 'cause' in error ? codeOf(error.cause) : undefined;
}

/** No space, over quota, or larger than the file system allows. */
const FULL_DISK_CODES: ReadonlySet<string | undefined> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

export function isFullDisk(error: unknown): boolean {
  return FULL_DISK_CODES.has(codeOf(error));
}
