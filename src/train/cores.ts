/** The cores of the machine that are for a process, by itself or as one of several ranks. */
import { availableParallelism, cpus } from 'node:os';
import type { Company } from '../engine/company.js';
import { usableCores } from '../pipeline/machine.js';

/** Whole cores, at least one: ranks that may use the same ones have equal shares. */
export function coresFor(company: Pick<Company, 'sharers'> | undefined): number {
  return Math.max(1, Math.floor(usableCores() / (company?.sharers ?? 1)));
}

/** What to say where a rank is tied to one core of many, as mpirun does unless it is told otherwise. */
export function tiedToOneCore({ sharers, size }: Pick<Company, 'sharers' | 'size'>): string | undefined {
  const [allowed, all] = [availableParallelism(), cpus().length];
  if (size === 1 || sharers > 1 || allowed > 1 || all === 1) return undefined;
  return `this rank may use 1 of the ${all} cores of its machine, for workers and engine: start it with mpirun --bind-to none, or taskset`;
}
