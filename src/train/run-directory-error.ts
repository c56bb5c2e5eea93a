/** Thrown when the folder that was asked for cannot be used; the message says which one can. */
export class RunDirectoryError extends Error {
  override name = 'RunDirectoryError';
}
