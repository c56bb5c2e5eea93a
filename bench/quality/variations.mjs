/** Comparisons with something changed, beside the main one. */
import { isDeepStrictEqual } from 'node:util';
import { counted } from '../../dist/common/counted.js';
import { ARMS, BASELINE, configOf } from './arms.mjs';
import { claimed, outcome, UNDECIDED, YES } from './claims.mjs';
import { pairsToDecide } from './statistics.mjs';
import { difference, HEADLINES, markdown, spread } from './table.mjs';

/** The paper's parts that are compared in each variation. */
const COMPARED = ['multi-level', 'detco'];
const AS_ABOVE = 'as above';
const NOT_TRAINED = '-';

const WORDS = {
  queueSize: (size) => `queues of ${size}`,
  levels: (weights) => `level weights ${Object.values(weights).join(', ')}`,
  updates: (count) => `${count} updates`,
  photo: () => '`synth --photo`',
  images: ({ train }) => `${train} pictures`,
};

/** How many variations show the paper's ordering, for the top of the page. */
export function ofVariations(variations) {
  if (variations.length === 0) return '';
  return `Of ${counted(variations.length, 'variation')} with one thing changed ([below](#what-was-varied)), ${variations.filter(showsOrder).length} show the paper's ordering.`;
}

/** What follows the main comparison on the page. */
export function varied(main, variations) {
  if (variations.length === 0) return `## What may decide it\n\n${passes(main.report)} Nothing was varied for this page.`;
  const titleOf = ({ report }) => (report === main.report ? AS_ABOVE : changes(report, main.report));
  const all = [main, ...variations];
  return `## What was varied

${passes(main.report)} ${ofMethod(main.report)} So this was varied: each change by itself, with its own search
of learning rates${ofFirstRates(main.report, variations, titleOf)}. Differences are paired, with 95 % intervals; "DetCo better" is "yes" where the interval leaves out 0.

${table(all, titleOf)}

The paper's ordering, DetCo above MoCo v2 in classification and in localisation:

${all.map((one) => `- **${titleOf(one)}:** ${outcome(mainClaims(one.report))}. Learning rates: ${rates(one.report)}.`).join('\n')}

${follows(all)}

Raw numbers: ${variations.map(({ raw }) => `[${raw.split('/').at(-1)}](${raw})`).join(', ')}.`;
}

/** Of variations whose search did not go beyond the rates that all began with. */
function ofFirstRates({ settings }, variations, titleOf) {
  const wider = variations.filter(({ report }) => report.settings.widenings);
  if (wider.length === variations.length) return '';
  return `, among ${settings.rates.join(', ')} alone${wider.length > 0 ? `; for ${wider.map(titleOf).join(' and ')} beyond them too` : ''}`;
}

function mainClaims({ summary }) {
  return claimed(summary).filter(({ main }) => main);
}

function showsOrder({ report }) {
  return mainClaims(report).every(({ verdict }) => verdict === YES);
}

function passes({ settings: { updates, batch, images } }) {
  return `${updates} updates of ${batch} images are ${((updates * batch) / images.train).toFixed(1)} passes over the pictures, where the paper makes 200
over ImageNet: what is slower at first may be better at last.`;
}

/** What the presets say of what is varied. */
function ofMethod({ settings }) {
  const { queueSize, levels } = configOf('detco', settings, { shards: ['-'], seed: 0, updates: settings.updates, engine: 'wasm' }).method;
  return `Queues hold ${queueSize} keys, and the levels weigh ${Object.values(levels).join(', ')}.`;
}

function rates({ search }) {
  return [BASELINE, ...COMPARED].flatMap((arm) => (search[arm] ? [`${ARMS[arm].title} ${search[arm].rate}`] : [])).join(', ');
}

/** In which settings a comparison differs from the main one, in words. */
function changes({ settings }, { settings: ofMain }) {
  const names = [...new Set([...Object.keys(settings), ...Object.keys(ofMain)])];
  // How widely rates are searched changes nothing of what is compared.
  const changed = names.filter((name) => name !== 'widenings' && !isDeepStrictEqual(settings[name], ofMain[name]));
  return changed.map((name) => WORDS[name]?.(settings[name]) ?? `${name} ${JSON.stringify(settings[name])}`).join(', ') || 'the same again';
}

function table(all, titleOf) {
  const arms = [BASELINE, ...COMPARED];
  const header = [
    '',
    'number',
    'seeds',
    ...arms.map((arm) => ARMS[arm].title),
    ...COMPARED.map((arm) => `${ARMS[arm].title} than MoCo v2`),
    'DetCo better',
  ];
  const rows = all.flatMap((one) => {
    const { summary, seeds } = one.report;
    const spreads = (number) => arms.map((arm) => (summary[arm] ? spread(summary[arm][number]) : NOT_TRAINED));
    const differences = (number) => COMPARED.map((arm) => (summary[arm] ? difference(summary[arm][number].toBaseline) : NOT_TRAINED));
    const fewest = String(Math.min(...arms.flatMap((arm) => seeds[arm] ?? [])));
    return mainClaims(one.report).map(({ number, verdict }, at) =>
      [at === 0 ? titleOf(one) : '', HEADLINES[number], fewest].concat(spreads(number), differences(number), verdict),
    );
  });
  return markdown(header, rows, 2);
}

/** What the table says, and what it does not. */
function follows(all) {
  const lines = all.flatMap(({ report }) =>
    mainClaims(report).map(({ number }) =>
      Object.fromEntries([BASELINE, ...COMPARED].map((arm) => [arm, report.summary[arm]?.[number].mean])),
    ),
  );
  const above = (arm, other) => lines.filter((line) => line[arm] > line[other]).length;
  return `What follows: the paper's ordering was reproduced in ${all.filter(showsOrder).length} of ${counted(all.length, 'setting')}. In means, DetCo is above MoCo v2
in ${above('detco', BASELINE)} of ${counted(lines.length, 'line')} and multi-level alone in ${above('multi-level', BASELINE)}; multi-level alone is above DetCo in ${above('multi-level', 'detco')}, where the paper has DetCo on top.

${whyUndecided(all[0].report)}

What does not follow: "not decided" is not "no difference". The 95 % interval of 3 seeds reaches 2.5 standard deviations of the
difference to either side, that of 5 seeds 1.2. Nor is a single "yes" much: by chance one interval in twenty leaves out 0. Lines of one
setting are of the same runs and count as one. No test was made between settings. Batch, width, temperatures and the size of the pictures were the same in all, and none of it is evidence on photographs.`;
}

/** How many seeds it would take, where those of the main comparison do not decide. */
function whyUndecided(report) {
  const open = mainClaims(report).filter(({ verdict }) => verdict === UNDECIDED);
  if (open.length === 0) return '';
  const of = (arm) => report.runs.filter((run) => run.arm === arm);
  const pairs = of('detco').map(({ seed, numbers }) => [numbers, of(BASELINE).find((run) => run.seed === seed).numbers]);
  const each = open.map(({ number }) => {
    const seeds = pairsToDecide(pairs.map(([ours, theirs]) => ours[number] - theirs[number]));
    return `${seeds} for ${HEADLINES[number]}`;
  });
  return `Why the main comparison does not decide: from seed to seed, DetCo's difference to MoCo v2 varies as much as it is large. If its mean and
deviation stayed, its interval would leave out 0 with about so many seeds: ${each.join('; ')}.`;
}
