/** The comparison in which each arm trains as long as MoCo v2, not as often: a section of the page. */
import { counted } from '../../dist/common/counted.js';
import { ARMS, BASELINE } from './arms.mjs';
import { inWords } from './claims.mjs';
import { mean } from './statistics.mjs';
import { difference, HEADLINES, markdown, rowsOf, spread } from './table.mjs';

/** Whether arms had the same seconds, by a report. */
export const ofSameSeconds = ({ report: { settings } }) => settings.seconds === true;

/** @param timed the comparison, with `raw`: where its numbers are, from the page; undefined where there is none */
export function sameSeconds(timed) {
  if (timed === undefined) return `## With the same seconds\n\nNot measured for this page: \`npm run bench:quality -- --seconds\` does it.`;
  const { report, raw } = timed;
  const { summary, seeds, settings, machine } = report;
  const budgets = budgetsOf(report);
  const names = Object.keys(HEADLINES);
  const withBudget = (rows) => rows.map(([title, ...cells], at) => [title, ...budgets[at], ...cells]);
  const others = Object.fromEntries(Object.entries(summary).filter(([arm]) => arm !== BASELINE));
  return `## With the same seconds

With as many updates, a method whose update costs more has more of the machine. Here each arm makes so many updates as take as
long as the ${settings.updates} of MoCo v2, by the median of what an update takes in the search of learning rates. One thread trains,
another makes the views. Mean ± standard deviation of ${counted(seeds[BASELINE], 'seed')}; seconds as measured, start included:

${markdown(['', 'updates', 'seconds', ...Object.values(HEADLINES)], withBudget(rowsOf(summary, names, spread)))}

Difference to MoCo v2, paired seed by seed, with its 95 % interval:

${markdown(
  ['', ...Object.values(HEADLINES)],
  rowsOf(others, names, ({ toBaseline }) => difference(toBaseline)),
)}

${inWords(report.claims).join(' ')} The seconds are those of ${machine.cpu}, ${machine.cores} cores: on a GPU updates have other prices. Raw numbers:
[${raw.split('/').at(-1)}](${raw}).`;
}

/** Updates and seconds of each arm. */
function budgetsOf({ summary, runs }) {
  return Object.keys(summary).map((arm) => {
    if (ARMS[arm].trained === false) return ['0', '0'];
    const own = runs.filter((run) => run.arm === arm);
    return [mean(own.map(({ updates }) => updates)), mean(own.map(({ trainSeconds }) => trainSeconds))].map((value) => value.toFixed(0));
  });
}
