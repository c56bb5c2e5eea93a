/** The loss terms as a table, and what of the network each kind of query trains. */
import type { Kind } from './heads.js';
import { levelsOf } from './options.js';
import type { MethodOptions, Term } from './options.js';
import { STAGES } from './resnet.js';
import type { Stage } from './resnet.js';

/** Who meets whom in each term: the query's view, and the view of both the key and the queue it is held against. */
export const TERMS: Readonly<Record<Term, { readonly query: Kind; readonly key: Kind }>> = {
  gg: { query: 'global', key: 'global' }, // Eq. 2
  ll: { query: 'local', key: 'local' }, // Eq. 5
  gl: { query: 'local', key: 'global' }, // Eq. 4
};
const KINDS = ['global', 'local'] as const;

/** The kinds of view that the options' terms have on any of these sides. */
export function kindsOf({ terms }: MethodOptions, sides: readonly ('query' | 'key')[]): Kind[] {
  return KINDS.filter((kind) => terms.some((term) => sides.some((side) => TERMS[term][side] === kind)));
}

/** The losses of a step, `gg.res2`: by the kind of their query, then level by level. */
export function termNames(options: MethodOptions): string[] {
  return kindsOf(options, ['query']).flatMap((kind) => {
    const terms = options.terms.filter((term) => TERMS[term].query === kind);
    return levelsOf(options).flatMap((level) => terms.map((term) => `${term}.${level}`));
  });
}

/** The queues of keys, `global.res5`: one for each kind of key and level. */
export function queueNames(options: MethodOptions): string[] {
  return kindsOf(options, ['key']).flatMap((kind) => levelsOf(options).map((level) => `${kind}.${level}`));
}

/** Whether the loss of queries of this kind reaches a parameter: not past the deepest level, nor the other kind's heads. */
export function trains(options: MethodOptions, kind: Kind, name: string): boolean {
  if (name.startsWith('head.')) return name.startsWith(`head.${kind}.`);
  const layer = /^layer(\d)/.exec(name)?.[1];
  return layer === undefined || Number(layer) <= STAGES.indexOf(levelsOf(options).at(-1) as Stage) + 1;
}
