/** Node's code of a failed system call, such as `ENOENT`. Not by `instanceof`: an error may come from another realm. */
export function errorCode(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : undefined;
}

/** No space, over quota, or larger than the file system allows. */
const FULL_DISK_CODES: ReadonlySet<string | undefined> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

export function isFullDisk(error: unknown): boolean {
  return FULL_DISK_CODES.has(errorCode(error));
}
