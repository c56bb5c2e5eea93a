/** An option that is one of a few names. */
import { z } from 'zod';
import { expectedOneOf } from './nearest.js';

/** For a schema; of another value its message tells the nearest names, and all of them. */
export function oneOf<const Name extends string>(names: readonly Name[]) {
  return z.enum(names, { error: ({ input }) => expectedOneOf(typeof input === 'string' ? input : '', names) });
}
