/** The latest value of each field as a table: what the charts show, for who reads rather than looks. */
import { element } from './dom.js';
import type { Field } from './fields.js';
import type { Run } from './state.js';

export function fillTable(table: HTMLTableElement, fields: readonly Field[], runs: readonly Run[]): void {
  const head = element('tr', {}, [
    element('th', { scope: 'col', text: 'Field' }),
    ...runs.map(({ head }) => element('th', { scope: 'col', text: head.name })),
  ]);
  const row = (label: string, cells: readonly string[]) =>
    element('tr', {}, [element('th', { scope: 'row', text: label }), ...cells.map((text) => element('td', { text }))]);
  const rows = fields.map((field) =>
    row(
      field.label,
      runs.map((run) => {
        const value = run[field.kind].latest(field.name);
        return value === undefined ? '–' : field.format(value);
      }),
    ),
  );
  const step = row(
    'Step',
    runs.map((run) => String(run.step ?? '–')),
  );
  table.replaceChildren(element('thead', {}, [head]), element('tbody', {}, [step, ...rows]));
}
