/** The pipeline of each run as a graph: what waits between the stages, as its metrics last said, and how much of it there may be. */
import { element } from './dom.js';
import { milliseconds, percent, rate } from './formats.js';
import type { Run } from './state.js';

interface Stage {
  readonly name: string;
  readonly value: string;
  /** How full it is, [0, 1], where it has a capacity. */
  readonly fill?: number;
  readonly detail: string;
}

const count = (value: number | undefined): string => (value === undefined ? '–' : String(Math.round(value)));

/** From bytes to the update. A queue that a run's metrics do not have is left out. */
function stagesOf({ updates, head: { facts } }: Run): Stage[] {
  const queue = (name: string) => updates.latest(`queues.${name}`);
  const number = (name: string) => (typeof facts[name] === 'number' ? facts[name] : undefined);
  const filled = (value: number | undefined, of: number | undefined) =>
    value === undefined || !of ? {} : { fill: Math.max(0, Math.min(1, value / of)) };
  const compressed = queue('compressed');
  const [lanes, shuffle, slots] = [number('lanes'), number('shuffle'), number('slots')];
  const room = lanes === undefined || shuffle === undefined ? undefined : lanes * shuffle;
  const full = queue('full');
  const wait = updates.latest('dataWaitShare');
  const stepMs = updates.latest('stepMs');
  const speed = updates.latest('imagesPerSecond');
  const stages: (Stage & { readonly known: boolean })[] = [
    {
      name: 'Shuffle buffers',
      value: count(compressed),
      ...filled(compressed, room),
      detail: room ? `of ${room} samples` : 'samples',
      known: compressed !== undefined,
    },
    { name: 'Decoding', value: count(queue('decoding')), detail: 'images', known: queue('decoding') !== undefined },
    { name: 'Decoded', value: count(queue('decoded')), detail: 'samples', known: queue('decoded') !== undefined },
    {
      name: 'Ready batches',
      value: count(full),
      ...filled(full, slots),
      detail: slots ? `of ${slots} slots` : 'batches',
      known: full !== undefined,
    },
    {
      name: 'Data wait',
      value: wait === undefined ? '–' : percent(wait),
      ...(wait !== undefined && { fill: wait }),
      detail: 'of the time',
      known: wait !== undefined,
    },
    {
      name: 'Update',
      value: stepMs === undefined ? '–' : milliseconds(stepMs),
      detail: speed === undefined ? '' : `${rate(speed)} images/s`,
      known: stepMs !== undefined,
    },
  ];
  return stages.filter(({ known }) => known);
}

/** @returns a graph a run, none for a run without updates */
export function flowsOf(runs: readonly { readonly run: Run; readonly colour: string }[]): HTMLElement[] {
  return runs.flatMap(({ run, colour }) => {
    const stages = stagesOf(run);
    if (stages.length === 0) return [];
    const { name } = run.head;
    const list = element('ol', { 'aria-label': `Pipeline of ${name}` }, stages.map(stageElement));
    const flow = element('div', { class: 'flow-run' }, [element('p', { text: name }), list]);
    flow.style.setProperty('--colour', colour);
    return [flow];
  });
}

function stageElement({ name, value, fill, detail }: Stage): HTMLElement {
  const item = element('li', {}, [
    element('span', { class: 'name', text: name }),
    element('b', { text: value }),
    element('span', { class: 'detail', text: detail }),
  ]);
  const gauge = element('span', { class: 'gauge', 'aria-hidden': 'true' }, fill === undefined ? [] : [element('i')]);
  if (fill !== undefined) gauge.style.setProperty('--fill', `${(100 * fill).toFixed(1)}%`);
  item.append(gauge);
  return item;
}
