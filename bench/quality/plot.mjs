/** Each seed of each arm as a dot, and the mean as a bar: one panel a number. */
import { element, short, text, ticks } from '../../dist/pipeline/profile/svg.js';
import { ARMS, BASELINE } from './arms.mjs';
import { HEADLINES } from './table.mjs';

const ROW = 24;
const TOP = 34;
const LEFT = 130;
const PANEL = 150;
const GAP = 20;
const FONT = { 'font-family': 'system-ui, sans-serif', 'font-size': 12 };
const COLOURS = { arm: '#1f6feb', baseline: '#57606a', chance: '#cf222e', grid: '#d0d7de', ink: '#1f2328' };

/** A stand-alone SVG on white, for light and dark pages. */
export function plot({ summary, runs, chance }) {
  const arms = Object.keys(summary);
  const names = Object.keys(HEADLINES);
  const [width, height] = [LEFT + names.length * (PANEL + GAP), TOP + arms.length * ROW + 30];
  const labels = arms.map((arm, at) => text(LEFT - 12, middleOf(at) + 4, ARMS[arm].title, { 'text-anchor': 'end', fill: COLOURS.ink }));
  const panels = names.map((name, at) => panel(name, LEFT + at * (PANEL + GAP), { arms, summary, runs, chance }));
  const title = 'What frozen backbones are worth, by method and seed';
  const attributes = {
    xmlns: 'http://www.w3.org/2000/svg',
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: 'img',
    'aria-label': title,
  };
  const ground = element('rect', { width, height, fill: '#ffffff' });
  return `${element('svg', { ...attributes, ...FONT }, [ground, ...labels, ...panels].join('\n'))}\n`;
}

function middleOf(row) {
  return TOP + (row + 0.5) * ROW;
}

function panel(name, left, { arms, summary, runs, chance }) {
  const valuesOf = (arm) => runs.filter((run) => run.arm === arm).map(({ numbers }) => numbers[name]);
  const marks = ticks(Math.max(...arms.flatMap(valuesOf)), 3);
  const at = (value) => left + (PANEL * value) / marks.at(-1);
  const bottom = TOP + arms.length * ROW;
  const upright = (x, attributes) => element('line', { x1: x, x2: x, y1: TOP, y2: bottom, ...attributes });
  const rows = arms.flatMap((arm, row) => {
    const colour = arm === BASELINE ? COLOURS.baseline : COLOURS.arm;
    const y = middleOf(row);
    const bar = { x1: at(0), x2: at(summary[arm][name].mean), y1: y, y2: y, stroke: colour, 'stroke-width': 8, 'stroke-opacity': '0.35' };
    return [element('line', bar), ...valuesOf(arm).map((value) => element('circle', { cx: at(value), cy: y, r: 3, fill: colour }))];
  });
  return [
    text(left, TOP - 14, HEADLINES[name], { 'font-weight': 'bold', fill: COLOURS.ink }),
    ...marks.flatMap((mark) => [
      upright(at(mark), { stroke: COLOURS.grid }),
      text(at(mark), bottom + 16, String(Number(mark.toFixed(2))), { 'text-anchor': 'middle', fill: COLOURS.ink }),
    ]),
    // An untrained detector finds next to nothing: what chance is there is not 1 of the classes.
    ...(name === 'ap50' ? [] : [upright(short(at(chance)), { stroke: COLOURS.chance, 'stroke-dasharray': '3 3' })]),
    ...rows,
  ].join('\n');
}
