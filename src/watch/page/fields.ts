/** How fields of metrics are called, in which units they are shown, and in which section. A field that is not here is shown by its own name. */
import { bytes, milliseconds, percent, plain } from './formats.js';
import { EFFECTIVE_RANK, FEATURE_DEVIATION, QUERY_DEVIATION, QUEUES, STAGE, STAGES, TERMS } from './meanings.js';
import type { Points, Run } from './state.js';

export type Kind = 'updates' | 'evaluations';

export const SECTIONS = ['Loss and evaluation', 'Terms of the loss', 'Features', 'Speed and data', 'Machine', 'Other'] as const;
export type Section = (typeof SECTIONS)[number];

export interface Field {
  readonly name: string;
  readonly kind: Kind;
  readonly label: string;
  readonly section: Section;
  readonly format: (value: number) => string;
  /** What the parts of its label mean, where they do not say so themselves. */
  readonly meanings: readonly string[];
}

interface Known {
  readonly label: string;
  readonly section: Section;
  readonly format?: (value: number) => string;
  readonly meanings?: readonly string[];
}

const KNOWN: Readonly<Record<string, Known>> = {
  loss: { label: 'Loss', section: 'Loss and evaluation' },
  lr: { label: 'Learning rate', section: 'Loss and evaluation' },
  knnTop1: { label: 'kNN accuracy', section: 'Loss and evaluation', format: percent },
  probeTop1: { label: 'Linear probe accuracy', section: 'Loss and evaluation', format: percent },
  probeLoss: { label: 'Linear probe loss', section: 'Loss and evaluation' },
  effectiveRank: { label: 'Effective rank', section: 'Features', meanings: [EFFECTIVE_RANK] },
  featureStd: { label: 'Deviation of queries', section: 'Features', meanings: [QUERY_DEVIATION] },
  featureDeviation: { label: 'Deviation of features', section: 'Features', meanings: [FEATURE_DEVIATION] },
  imagesPerSecond: { label: 'Images per second', section: 'Speed and data' },
  dataWaitShare: { label: 'Share of time waiting for data', section: 'Speed and data', format: percent },
  dataWaitMs: { label: 'Wait for data', section: 'Speed and data', format: milliseconds },
  stepMs: { label: 'Update', section: 'Speed and data', format: milliseconds },
  rssBytes: { label: 'Memory of the process', section: 'Machine', format: bytes },
};

/** Below all others of its section: it follows a schedule, and nothing is to be learned from it. */
const LAST = 'lr';
const ORDER = Object.keys(KNOWN);

function place({ name }: Field): number {
  if (name === LAST) return ORDER.length + 1;
  return ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length;
}

function describe(name: string, kind: Kind): Field {
  const known = KNOWN[name];
  const field = { name, kind, format: plain, meanings: [] };
  // A probe learns from the batches of updates, too, and is judged there before it does.
  if (known && kind === 'updates' && name.startsWith('probe')) return { ...field, ...known, label: `${known.label}, batches` };
  return { ...field, ...(known ?? ofGroup(name, kind)) };
}

/** Of a field such as `terms.gg.res4`, one of several of a kind. */
function ofGroup(name: string, kind: Kind): Known {
  const [group = '', ...rest] = name.split('.');
  const detail = rest.join('.');
  const stage = STAGE.test(rest.at(-1) ?? '') ? [STAGES] : [];
  switch (group) {
    case 'terms':
      return { label: `Term ${detail}`, section: 'Terms of the loss', meanings: [...meaningOf(TERMS, rest[0]), ...stage] };
    case 'knnTop1ByStage':
      return { label: `kNN accuracy, ${detail}`, section: 'Loss and evaluation', format: percent, meanings: stage };
    case 'featureStdByLevel':
      return { label: `Deviation of queries, ${detail}`, section: 'Features', meanings: [QUERY_DEVIATION, ...stage] };
    case 'queues':
      return { label: `Queue: ${detail}`, section: 'Machine', meanings: meaningOf(QUEUES, detail) };
    default:
      return { label: name, section: kind === 'evaluations' ? 'Loss and evaluation' : 'Other' };
  }
}

function meaningOf(meanings: ReadonlyMap<string, string>, name = ''): string[] {
  const meaning = meanings.get(name);
  return meaning === undefined ? [] : [`${name}: ${meaning}`];
}

/** All fields that any of the runs has, as they are to be shown. */
export function fieldsOf(runs: readonly Run[]): Field[] {
  const found = new Map<string, Field>();
  const add = (points: Points, kind: Kind): void => {
    for (const name of points.columns.keys()) found.set(`${kind}:${name}`, describe(name, kind));
  };
  for (const run of runs) {
    add(run.updates, 'updates');
    add(run.evaluations, 'evaluations');
  }
  const fields = [...found.values()];
  return fields.toSorted(
    (a, b) =>
      SECTIONS.indexOf(a.section) - SECTIONS.indexOf(b.section) ||
      place(a) - place(b) ||
      a.name.localeCompare(b.name, 'en', { numeric: true }),
  );
}
