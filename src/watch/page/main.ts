/** The page of `detco watch`: settings and messages in, charts out. */
import { Chart, type Curve, type Shown, type XRange } from './chart.js';
import { connect } from './connection.js';
import { bindControls } from './controls.js';
import { byId, colourOf, element, setText } from './dom.js';
import { type Field, fieldsOf, SECTIONS } from './fields.js';
import { flowsOf } from './flow.js';
import { STAGES } from './meanings.js';
import { durationInWords, RunsPanel } from './runs-panel.js';
import { applyTheme, loadSettings, saveSettings } from './settings.js';
import { type Run, Runs } from './state.js';
import { fillTable } from './table.js';

/** Charts are drawn again so often at most. */
const DRAW_MS = 500;
/** The latest values are read out so often at most. */
const TELL_MS = 15_000;

const settings = loadSettings();
const runs = new Runs();
const charts = new Map<string, Chart>();
let range: XRange | undefined;
let fresh = false;
let drawing: ReturnType<typeof setTimeout> | undefined;
let toldAt = 0;

const panel = new RunsPanel(byId('runs', HTMLElement), (name, shown) => {
  settings.hidden = shown ? settings.hidden.filter((hidden) => hidden !== name) : [...settings.hidden, name];
  change();
});
const whole = byId('whole', HTMLButtonElement);
const setRange = (to: XRange | undefined): void => {
  range = to;
  draw();
};
whole.addEventListener('click', () => setRange(undefined));

function change(): void {
  saveSettings(settings);
  applyTheme(settings);
  draw();
}

bindControls(settings, (axisChanged) => {
  if (axisChanged) range = undefined;
  change();
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => draw());
applyTheme(settings);

function drawSoon(): void {
  drawing ??= setTimeout(() => {
    drawing = undefined;
    draw();
  }, DRAW_MS);
}

function shownRuns(): { run: Run; colour: string }[] {
  return runs.all.map((run, index) => ({ run, colour: colourOf(index) })).filter(({ run }) => !settings.hidden.includes(run.head.name));
}

function draw(): void {
  const shown = shownRuns();
  panel.draw(runs, settings.hidden);
  byId('problems', HTMLElement).replaceChildren(...runs.problems.map((text) => element('li', { text })));
  whole.hidden = range === undefined;
  const fields = fieldsOf(shown.map(({ run }) => run));
  drawCharts(fields, shown);
  const flows = flowsOf(shown);
  byId('flow', HTMLElement).replaceChildren(...flows);
  (document.querySelector('.flow') as HTMLElement).hidden = flows.length === 0;
  drawViews(shown);
  drawWaiting(fields.length > 0, shown.length === 0);
  fillTable(
    byId('table', HTMLTableElement),
    fields,
    shown.map(({ run }) => run),
  );
  tell(shown);
}

/** The unit of time that the longest of the runs is read in. */
function timeUnit(shown: readonly { readonly run: Run }[]): { readonly seconds: number; readonly name: string } {
  const longest = Math.max(0, ...shown.map(({ run }) => run.updates.seconds.at(-1) ?? 0));
  if (longest < 180) return { seconds: 1, name: 's' };
  return longest < 10_800 ? { seconds: 60, name: 'min' } : { seconds: 3600, name: 'h' };
}

function drawCharts(fields: readonly Field[], shown: readonly { readonly run: Run; readonly colour: string }[]): void {
  place(fields);
  const unit = timeUnit(shown);
  const style = getComputedStyle(document.documentElement);
  const dark = style.getPropertyValue('--ink').trim();
  const common: Shown = {
    settings,
    range,
    // Of epochs as of time it is how much of them has passed: the whole of epoch 0 lies before 1.
    xLabel: settings.x === 'step' ? 'step' : 'after',
    xUnit: settings.x === 'epoch' ? ' epochs' : '',
    formatX: (x) => `${Number(x.toPrecision(6))}${settings.x === 'time' ? ` ${unit.name}` : ''}`,
    ink: style.getPropertyValue('--faint').trim(),
    rule: style.getPropertyValue('--rule').trim(),
    look: `${dark} ${settings.x} ${unit.name}`,
  };
  for (const field of fields) {
    const curves = shown.flatMap(({ run, colour }): Curve[] => {
      const points = run[field.kind];
      const values = points.columns.get(field.name);
      if (values === undefined) return [];
      const xs = run.xs(points, settings.x);
      return [{ name: run.head.name, colour, xs: settings.x === 'time' ? xs.map((x) => x / unit.seconds) : xs, ...values }];
    });
    charts.get(keyOf(field))?.draw(curves, common);
  }
}

const stagesLast = (a: string, b: string): number => Number(a === STAGES) - Number(b === STAGES);
const keyOf = ({ kind, name }: Field): string => `${kind}:${name}`;

/** Charts of these fields in their sections, in order; those that are there stay the elements that they are, so that focus stays. */
function place(fields: readonly Field[]): void {
  const keys = fields.map(keyOf);
  if (keys.join() === [...charts.keys()].join()) return;
  for (const [key, chart] of charts) if (!keys.includes(key)) chart.remove();
  const old = new Map(charts);
  charts.clear();
  for (const field of fields) charts.set(keyOf(field), old.get(keyOf(field)) ?? new Chart(field, setRange));
  const sections = SECTIONS.flatMap((name) => {
    const those = fields.filter(({ section }) => section === name);
    if (those.length === 0) return [];
    const id = `section-${SECTIONS.indexOf(name)}`;
    const grid = element('div', { class: 'grid' });
    for (const field of those) grid.append((charts.get(keyOf(field)) as Chart).root);
    const meanings = [...new Set(those.flatMap((field) => field.meanings))].toSorted(stagesLast).join('; ');
    const note = meanings === '' ? [] : [element('p', { class: 'note', text: meanings })];
    return [element('section', { 'aria-labelledby': id }, [element('h2', { id, text: name }), ...note, grid])];
  });
  byId('charts', HTMLElement).replaceChildren(...sections);
}

/** What stands where nothing is yet. */
function drawWaiting(hasValues: boolean, noneShown: boolean): void {
  byId('runs-waiting', HTMLElement).hidden = runs.all.length > 0;
  byId('table-box', HTMLElement).hidden = !hasValues;
  const waiting = byId('table-waiting', HTMLElement);
  waiting.hidden = hasValues;
  setText(waiting, noneShown && runs.all.length > 0 ? 'No run is chosen' : 'Waiting for data');
}

function drawViews(shown: readonly { readonly run: Run }[]): void {
  const pictures = shown.flatMap(({ run: { head } }) =>
    head.viewsMs === undefined
      ? []
      : [{ src: `/views/${head.id}.png?${head.viewsMs}`, alt: `Views of ${head.name}: a column a sample, a row a view` }],
  );
  const box = byId('pictures', HTMLElement);
  const wanted = pictures.map(({ src }) => src).join(' ');
  if (box.dataset['shown'] !== wanted) box.replaceChildren(...pictures.map((attributes) => element('img', attributes)));
  box.dataset['shown'] = wanted;
  byId('views', HTMLElement).hidden = pictures.length === 0;
}

function tell(shown: readonly { readonly run: Run }[]): void {
  if (Date.now() - toldAt < TELL_MS || shown.length === 0) return;
  toldAt = Date.now();
  const words = shown.map(({ run }) => {
    const loss = run.updates.latest('loss');
    return `${run.head.name}: step ${run.step ?? 0}${loss === undefined ? '' : `, loss ${loss.toPrecision(4)}`}`;
  });
  setText(byId('latest', HTMLElement), words.join('; '));
}

function say(state: 'live' | 'lost', words: string): void {
  const node = byId('connection', HTMLElement);
  node.dataset['state'] = state;
  setText(node, words);
}

let lostAt: number | undefined;
connect({
  onOpen: () => {
    fresh = true;
    lostAt = undefined;
    say('live', 'Connected');
  },
  onMessage: (message) => {
    if (fresh) runs.clear();
    fresh = false;
    runs.apply(message);
    drawSoon();
  },
  onLost: () => {
    lostAt ??= Date.now();
    say('lost', `Not connected to ${location.host}, trying again. What is shown is ${durationInWords((Date.now() - lostAt) / 1000)} old.`);
  },
});
// How old things are changes without a message.
setInterval(drawSoon, 10_000);
