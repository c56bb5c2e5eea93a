/** The list of runs: which are drawn, in which colour, how far each is and what is wrong with it. */
import { colourOf, element, setText } from './dom.js';
import type { Run, Runs } from './state.js';

/** A run whose last line is older than this is not called live. */
const LIVE_MS = 30_000;

interface Row {
  readonly item: HTMLLIElement;
  readonly box: HTMLInputElement;
  readonly state: HTMLElement;
  readonly facts: HTMLElement;
  readonly reading: HTMLElement;
  readonly problem: HTMLElement;
}

export class RunsPanel {
  readonly #list: HTMLElement;
  readonly #rows = new Map<string, Row>();
  readonly #onToggle: (name: string, shown: boolean) => void;

  constructor(list: HTMLElement, onToggle: (name: string, shown: boolean) => void) {
    this.#list = list;
    this.#onToggle = onToggle;
  }

  draw(runs: Runs, hidden: readonly string[]): void {
    const names = new Set(runs.all.map(({ head }) => head.name));
    for (const [name, { item }] of this.#rows) {
      if (names.has(name)) continue;
      item.remove();
      this.#rows.delete(name);
    }
    for (const [index, run] of runs.all.entries()) this.#drawRun(run, index, runs, !hidden.includes(run.head.name));
  }

  #drawRun(run: Run, index: number, { clockMs }: Runs, shown: boolean): void {
    const { name, problem, unreadable, read } = run.head;
    const row = this.#rows.get(name) ?? this.#add(name);
    row.item.style.setProperty('--colour', colourOf(index));
    row.box.checked = shown;
    setText(row.state, stateOf(run, clockMs));
    setText(row.facts, factsOf(run));
    const problems = [
      ...(problem === undefined ? [] : [problem]),
      ...(unreadable > 0 ? [`${unreadable} lines of metrics.jsonl cannot be read and are passed over.`] : []),
    ];
    setText(row.reading, `Reading metrics.jsonl: ${Math.floor(100 * read)} %`);
    row.reading.hidden = read === 1;
    setText(row.problem, problems.join(' '));
    row.problem.hidden = problems.length === 0;
  }

  #add(name: string): Row {
    const box = element('input', { type: 'checkbox' });
    box.addEventListener('change', () => this.#onToggle(name, box.checked));
    const [state, facts, reading, problem] = [element('p'), element('p'), element('p'), element('p', { class: 'problem' })];
    const item = element('li', {}, [
      element('label', {}, [box, element('i'), element('span', { text: name })]),
      state,
      facts,
      reading,
      problem,
    ]);
    this.#list.append(item);
    const row: Row = { item, box, state, facts, reading, problem };
    this.#rows.set(name, row);
    return row;
  }
}

function stateOf(run: Run, clockMs: number): string {
  const { writtenMs, epochStarts, facts } = run.head;
  if (run.step === undefined) return 'no update yet';
  const ageMs = Date.now() + clockMs - (writtenMs ?? 0);
  const steps = facts['steps'] === undefined ? '' : ` of ${facts['steps']}`;
  const age = ageMs < LIVE_MS ? 'live' : `last line ${durationInWords(ageMs / 1000)} ago`;
  // Without how many there are, for the last of 20 is epoch 19.
  const epoch = epochStarts.length === 0 ? [] : [`epoch ${epochStarts.length - 1}`];
  return [`step ${run.step}${steps}`, ...epoch, age].join(' · ');
}

function factsOf({ head: { facts, checkpointStep, badSamples } }: Run): string {
  const words = ['method.name', 'method.arch', 'engine'].map((name) => facts[name]).filter((value) => value !== undefined);
  if (facts['batch'] !== undefined) words.push(`batch ${facts['batch']}`);
  if (facts['epochs'] !== undefined) words.push(`${facts['epochs']} epoch${facts['epochs'] === 1 ? '' : 's'}`);
  if (checkpointStep !== undefined) words.push(`checkpoint ${checkpointStep}`);
  if (badSamples > 0) words.push(`${badSamples} bad samples`);
  return words.join(' · ');
}

export function durationInWords(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`;
}
