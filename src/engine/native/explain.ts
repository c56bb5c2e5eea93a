/** What Linux's loader says of a library that it refuses, apart from the name of the file. */

export type Refusal =
  /** A library that is not found. */
  | { readonly missing: string }
  /** A function that another library should have. */
  | { readonly symbol: string }
  /** A version of the system's libraries, `GLIBC_2.38`. */
  | { readonly needed: string }
  /** Anything else, in its own words. */
  | { readonly words: string };

export function readRefusal(message: string): Refusal {
  const missing = /(\S+): cannot open shared object file/.exec(message)?.[1];
  if (missing !== undefined) return { missing };
  const symbol = /undefined symbol: (\S+)/.exec(message)?.[1];
  if (symbol !== undefined) return { symbol };
  const needed = /version `(\S+)' not found/.exec(message)?.[1];
  return needed === undefined ? { words: message } : { needed };
}
