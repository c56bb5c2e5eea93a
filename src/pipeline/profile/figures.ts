/** The figures of a report, as SVG. Colours are variables of the page, so they follow light and dark. */
import { distribution } from './analyse.js';
import { msText, percent, rate } from './format.js';
import type { Measured } from './record.js';
import type { ProfileReport, StageReport } from './report.js';
import { area, element, escaped, figure, line, type Point, text, ticks } from './svg.js';
import type { SweepPoint } from './sweep.js';

const WIDTH = 960;
const LEFT = 56;
// Half of an axis label fits beside the plot.
const RIGHT = 26;
const PLOT = WIDTH - LEFT - RIGHT;

/** Red when nothing was there, green when everything was. */
function readyColour(readiness: number): string {
  return `color-mix(in oklch, var(--starved), var(--ready) ${Math.round(100 * readiness)}%)`;
}

/** Horizontal grid with labels, from 0 at `bottom` to the last tick at `top`. */
function grid(values: readonly number[], top: number, bottom: number, label: (value: number) => string): string {
  const most = values.at(-1) || 1;
  return values
    .map((value) => {
      const y = bottom - ((bottom - top) * value) / most;
      return (
        element('line', { x1: LEFT, x2: WIDTH - RIGHT, y1: y, y2: y, class: 'grid' }) +
        text(LEFT - 8, y + 4, label(value), { class: 'tick end' })
      );
    })
    .join('');
}

function timeAxis(seconds: number, y: number): string {
  return ticks(seconds, 8)
    .filter((value) => value <= seconds)
    .map((value) => text(LEFT + (PLOT * value) / seconds, y, `${Number(value.toFixed(3))} s`, { class: 'tick middle' }))
    .join('');
}

/** The stages from source to consumer; an arrow is coloured by how often the next one found what it came for. */
export function pipelineGraph(report: ProfileReport): string {
  const stage = (name: string): StageReport | undefined => report.stages.find((one) => one.name === name);
  const nodes = [
    { name: 'source', title: report.medium, note: 'bytes' },
    { name: 'tar', title: 'tar', note: 'samples' },
    { name: 'decode', title: 'decode', note: 'pixels' },
    { name: 'augment', title: 'augment', note: `${report.setup.views.length} views` },
    { name: 'step', title: 'consumer', note: 'batches' },
  ];
  // How often a stage found what the one before it makes; the tar parser's source has no queue.
  const arrows = [
    { label: 'bytes', readiness: 1 - report.utilisation.source },
    { label: 'shuffle buffer', readiness: stage('shuffle')?.readiness },
    { label: 'decoded', readiness: stage('decoded')?.readiness },
    { label: 'full slots', readiness: report.wait.readiness },
  ];
  const [boxWidth, boxHeight, top] = [124, 92, 34];
  const pitch = (WIDTH - boxWidth) / (nodes.length - 1);
  const limiting = limitingStages(report);
  const boxes = nodes.map(({ name, title, note }, index) => {
    const x = index * pitch;
    const one = stage(name);
    const share = one?.shareOfWaiting;
    const busy = one?.utilisation ?? 0;
    return (
      element('rect', {
        x: x + 1,
        y: top,
        width: boxWidth - 2,
        height: boxHeight,
        rx: 6,
        class: limiting.has(name) ? 'node limit' : 'node',
      }) +
      text(x + 12, top + 24, title, { class: 'name' }) +
      text(x + 12, top + 42, one && one.count > 0 ? `${msText(one.p50Ms)} · ${note}` : note, { class: 'tick' }) +
      element('rect', { x: x + 12, y: top + 54, width: boxWidth - 24, height: 5, rx: 2, class: 'track' }) +
      element('rect', { x: x + 12, y: top + 54, width: (boxWidth - 24) * busy, height: 5, rx: 2, class: 'busy' }) +
      text(x + 12, top + 78, share === undefined ? `${percent(busy)} busy` : `${percent(share)} of the wait`, { class: 'tick' })
    );
  });
  const edges = arrows.map(({ label, readiness = 0 }, index) => {
    const [from, to, y] = [index * pitch + boxWidth + 4, (index + 1) * pitch - 4, top + boxHeight / 2];
    const colour = `stroke:${readyColour(readiness)}`;
    return (
      element('path', { d: `M${from} ${y}H${to - 2}m-7 -5l7 5l-7 5`, class: 'arrow', style: colour }) +
      text((from + to) / 2, y - 12, label, { class: 'tick middle' }) +
      text((from + to) / 2, y + 22, `${percent(readiness)} ready`, { class: 'label middle' })
    );
  });
  const slot = stage('slot');
  const y = top + boxHeight + 26;
  const [from, to] = [4 * pitch + boxWidth / 2, 3 * pitch + boxWidth / 2];
  const back =
    element('path', {
      d: `M${from} ${top + boxHeight + 4}V${y}H${to}V${top + boxHeight + 6}m-5 7l5 -7l5 7`,
      class: 'arrow',
      style: `stroke:${readyColour(slot?.readiness ?? 1)}`,
    }) + text((from + to) / 2, y + 18, `free slots: ${percent(slot?.readiness ?? 1)} ready`, { class: 'tick middle' });
  return figure('The pipeline', WIDTH, y + 28, boxes.join('') + edges.join('') + back);
}

/** Stages to mark as what limits the run. */
function limitingStages({ bindingResource, waitShares }: ProfileReport): ReadonlySet<string> {
  switch (bindingResource) {
    case 'network':
    case 'disk':
      return new Set(['source']);
    case 'libuv':
    case 'lanes':
      return new Set(['decode']);
    case 'consumer':
    case 'event-loop':
      return new Set(['step']);
    case 'cores':
    case 'contention':
      return new Set([waitShares.decode > waitShares.augment ? 'decode' : 'augment']);
  }
}

/** A strip a queue: items over time, and the most there can be. */
export function queueStrips({ samples, setup }: Measured): string {
  const begin = samples[0]?.ms ?? 0;
  const seconds = Math.max(((samples.at(-1)?.ms ?? 0) - begin) / 1000, 0.001);
  const strips = [
    { name: 'compressed', title: 'compressed samples', most: setup.shuffle },
    { name: 'decoding', title: 'images in the decoder', most: setup.lanes },
    { name: 'decoded', title: 'decoded samples', most: 2 * setup.lanes },
    { name: 'full', title: 'full batches', most: setup.slots },
  ] as const;
  const [height, pitch, top] = [44, 76, 22];
  const drawn = strips.map(({ name, title, most }, index) => {
    const bottom = top + index * pitch + height;
    const highest = Math.max(most, ...samples.map(({ queues }) => queues[name]), 1);
    const points = samples.map(({ ms, queues }): Point => ({
      x: LEFT + (PLOT * (ms - begin)) / 1000 / seconds,
      y: bottom - (height * queues[name]) / highest,
    }));
    const floor = points.map(({ x }) => ({ x, y: bottom }));
    return (
      text(LEFT, bottom - height - 7, title, { class: 'label' }) +
      grid([0, highest], bottom - height, bottom, (value) => String(value)) +
      area(points, floor, { class: 'fill' }) +
      line(points, { class: 'stroke' })
    );
  });
  const bottom = top + strips.length * pitch;
  return figure('Queues over time', WIDTH, bottom, drawn.join('') + timeAxis(seconds, bottom - 12));
}

/** Waiting and computing, one on the other, step by step. */
export function stepTimes({ steps }: Measured): string {
  const [top, bottom] = [12, 190];
  const values = ticks(Math.max(...steps.map(({ waitMs, stepMs, steps: count }) => (waitMs + stepMs) / count), 0.001));
  const most = values.at(-1) || 1;
  const all = steps.reduce((sum, step) => sum + step.steps, 0);
  let before = 0;
  const bars = steps.map(({ waitMs, stepMs, steps: count }) => {
    const [x, width] = [LEFT + (PLOT * before) / all, (PLOT * count) / all];
    const tall = (ms: number) => ((bottom - top) * ms) / count / most;
    const title = `<title>step ${before + 1}: ${escaped(msText(waitMs / count))} waiting, ${escaped(msText(stepMs / count))} computing</title>`;
    before += count;
    const gap = width > 4 ? 1 : 0;
    return (
      element('rect', { x, y: bottom - tall(stepMs), width: width - gap, height: tall(stepMs), class: 'compute' }, title) +
      element('rect', { x, y: bottom - tall(stepMs) - tall(waitMs), width: width - gap, height: tall(waitMs), class: 'waiting' }, title)
    );
  });
  const axis = ticks(all, 8)
    .filter((step) => step <= all && Number.isInteger(step))
    .map((step) => text(LEFT + (PLOT * step) / all, bottom + 18, String(step), { class: 'tick middle' }));
  return figure('Time of the steps', WIDTH, bottom + 26, grid(values, top, bottom, msText) + bars.join('') + axis.join(''));
}

/** How long `next()` took, on a logarithmic axis. */
export function waitHistogram({ totals }: Measured): string {
  const { wait, first } = totals.stages;
  const bars = wait ? distribution(wait) : [];
  const firsts = first ? distribution(first) : [];
  const all = [...bars, ...firsts];
  if (all.length === 0) return '';
  const [top, bottom] = [12, 170];
  const low = Math.floor(Math.log10(Math.min(...all.map(({ ms }) => ms))));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...all.map(({ ms }) => ms)) * 1.2)));
  const at = (ms: number) => LEFT + (PLOT * (Math.log10(ms) - low)) / (high - low);
  const values = ticks(Math.max(...all.map(({ count }) => count)));
  const most = values.at(-1) || 1;
  const draw = (group: typeof all, name: string) =>
    group.map(({ ms, count }) => {
      // A bucket spans a quarter of an octave.
      const [x, next, tall] = [at(ms), at(ms * 2 ** 0.25), ((bottom - top) * count) / most];
      const title = `<title>${count} from ${escaped(msText(ms))}</title>`;
      return element('rect', { x, y: bottom - tall, width: Math.max(1, next - x - 1), height: tall, class: name }, title);
    });
  const axis = Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index)).map((ms) =>
    text(at(ms), bottom + 18, ms < 1 ? `${Math.round(1000 * ms)} µs` : ms < 1000 ? `${ms} ms` : `${ms / 1000} s`, { class: 'tick middle' }),
  );
  const content = grid(values, top, bottom, String) + draw(bars, 'waiting').join('') + draw(firsts, 'compute').join('') + axis.join('');
  return figure('Waits for a batch', WIDTH, bottom + 26, content);
}

export function sweepCurve(points: readonly SweepPoint[], best: number): string {
  const [top, bottom] = [28, 200];
  const values = ticks(Math.max(...points.map(({ imagesPerSecond }) => imagesPerSecond)));
  const most = values.at(-1) || 1;
  const workers = Math.max(...points.map((point) => point.workers));
  const place = (point: SweepPoint): Point => ({
    x: LEFT + (PLOT * point.workers) / (workers + 0.5),
    y: bottom - ((bottom - top) * point.imagesPerSecond) / most,
  });
  const marks = points.map((point) => {
    const { x, y } = place(point);
    const name = point.workers === best ? 'mark best' : 'mark';
    return (
      element('circle', { cx: x, cy: y, r: 4.5, class: name }) +
      text(x, bottom + 18, String(point.workers), { class: 'tick middle' }) +
      text(x, y - 10, rate(point.imagesPerSecond), { class: 'label middle' })
    );
  });
  return figure(
    'Images a second by workers',
    WIDTH,
    bottom + 26,
    grid(values, top, bottom, String) + line(points.map(place), { class: 'stroke' }) + marks.join(''),
  );
}
