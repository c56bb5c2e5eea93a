/** How fields of metrics are called, in which units they are shown, and in which section. A field that is not here is shown by its own name. */
import { bytes, milliseconds, percent, plain } from './formats.js';
import type { Points, Run } from './state.js';

export type Kind = 'updates' | 'evaluations';

export const SECTIONS = ['Loss', 'Evaluation', 'Features', 'Speed and data', 'Machine', 'Other'] as const;
export type Section = (typeof SECTIONS)[number];

export interface Field {
  readonly name: string;
  readonly kind: Kind;
  readonly label: string;
  readonly section: Section;
  readonly format: (value: number) => string;
}

interface Known {
  readonly label: string;
  readonly section: Section;
  readonly format?: (value: number) => string;
}

const KNOWN: Readonly<Record<string, Known>> = {
  loss: { label: 'Loss', section: 'Loss' },
  lr: { label: 'Learning rate', section: 'Loss' },
  knnTop1: { label: 'kNN accuracy', section: 'Evaluation', format: percent },
  probeTop1: { label: 'Linear probe accuracy', section: 'Evaluation', format: percent },
  probeLoss: { label: 'Linear probe loss', section: 'Evaluation' },
  effectiveRank: { label: 'Effective rank', section: 'Features' },
  featureStd: { label: 'Deviation of queries', section: 'Features' },
  featureDeviation: { label: 'Deviation of features', section: 'Features' },
  imagesPerSecond: { label: 'Images per second', section: 'Speed and data' },
  dataWaitShare: { label: 'Share of time waiting for data', section: 'Speed and data', format: percent },
  dataWaitMs: { label: 'Wait for data', section: 'Speed and data', format: milliseconds },
  stepMs: { label: 'Update', section: 'Speed and data', format: milliseconds },
  rssBytes: { label: 'Memory of the process', section: 'Machine', format: bytes },
};

const ORDER = Object.keys(KNOWN);

function describe(name: string, kind: Kind): Field {
  const known = KNOWN[name];
  // A probe learns from the batches of updates, too, and is judged there before it does.
  if (known && kind === 'updates' && name.startsWith('probe'))
    return { name, kind, format: plain, ...known, label: `${known.label}, batches` };
  if (known) return { name, kind, format: plain, ...known };
  const [group = '', ...rest] = name.split('.');
  const detail = rest.join('.');
  if (group === 'terms') return { name, kind, label: `Term ${detail}`, section: 'Loss', format: plain };
  if (group === 'knnTop1ByStage') return { name, kind, label: `kNN accuracy, ${detail}`, section: 'Evaluation', format: percent };
  if (group === 'featureStdByLevel') return { name, kind, label: `Deviation of queries, ${detail}`, section: 'Features', format: plain };
  if (group === 'queues') return { name, kind, label: `Queue: ${detail}`, section: 'Machine', format: plain };
  return { name, kind, label: name, section: kind === 'evaluations' ? 'Evaluation' : 'Other', format: plain };
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
  const place = ({ name }: Field) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);
  return fields.toSorted(
    (a, b) =>
      SECTIONS.indexOf(a.section) - SECTIONS.indexOf(b.section) ||
      place(a) - place(b) ||
      a.name.localeCompare(b.name, 'en', { numeric: true }),
  );
}
