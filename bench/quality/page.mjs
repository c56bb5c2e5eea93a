/** What was found as a page of docs/. */
import { counted } from '../../dist/common/counted.js';
import { METHOD_PRESETS, methodKind, STAGES } from '../../dist/model/index.js';
import { CLASSES } from '../../dist/synth/classes.js';
import { ARMS, BASELINE, sideOf } from './arms.mjs';
import { inWords } from './claims.mjs';
import { ofSameSeconds, sameSeconds } from './same-seconds.mjs';
import { difference, digits, HEADLINES, markdown, rowsOf, spread } from './table.mjs';
import { ofVariations, varied } from './variations.mjs';
import { wrapped } from './wrap.mjs';

/** @param main, others each a report, and `raw`: where its numbers are, from the page; of the others those of the same seconds have a section */
export function page(main, others) {
  const variations = others.filter((one) => !ofSameSeconds(one));
  const { report, raw } = main;
  const { summary, settings, seeds, machine, versions, chance, colour, claims, date } = report;
  const { images, side, globalSize, patchSize, updates, batch, queueSize, levels, evaluationSize } = settings;
  const classes = CLASSES.length;
  const changed = [queueSize && `queues of ${queueSize}`, levels && `level weights ${Object.values(levels).join(', ')}`].filter(Boolean);
  return wrapped(`# Quality

<!-- Written by npm run bench:quality. -->

What DetCo claims, tested small, with the other methods of its tables and the older pretexts beside
it: all saw the same pictures with the same network, as often. What are their frozen backbones worth
for classification and for localisation?

## The outcome

${inWords(claims).join('\n')} ${ofVariations(variations)}

![Each number of each seed, and their means](quality.svg)

Mean ± standard deviation of ${counted(seeds[BASELINE], 'seed')}, on ${images.test} test images of ${classes} classes:

${headlines(report.summary, spread)}

${highest(report.summary)} ${leftOut(report)}${withoutSecondLook(report, variations)}Chance is ${digits(chance)}, and linear accuracy on colours alone (histograms of red, green and blue)
${digits(colour)}. What is measured stands [below](#how-it-was-done).

Difference to MoCo v2, paired seed by seed, with its 95 % interval by Student's t. There are many of them: one in
twenty leaves out 0 where there is no difference.

${headlines(withoutBaseline(report.summary), ({ toBaseline }) => difference(toBaseline))}

${sameSeconds([main, ...others].findLast(ofSameSeconds))}

## What the paper says

Section 4.5 and the main tables of the paper, about ResNet-50 on ImageNet, COCO and VOC. Here each line is one
number of a toy, and no evidence on photographs. "yes" and "the opposite" have intervals that leave out 0.

${claimTable(claims)}

## Stage by stage

kNN accuracy:

${byStage(report.summary, 'knn', spread)}

Linear accuracy:

${byStage(report.summary, 'linear', spread)}

Effective rank of the features of the test images (RankMe), of at most 16, 32, 64 and 128:

${byStage(report.summary, 'rank', ({ mean }) => mean.toFixed(1))}

## How it was done

- **Pictures:** ${images.train} of \`detco synth${settings.photo ? ' --photo' : ''}\`, ${side} x ${side} pixels, ${classes} classes of a shape with a texture.
  Place, size, turn, colours, background and light do not depend on the class.
- **Network:** ResNet-18 of width 16 on views of ${globalSize} pixels and patches of ${patchSize}. Heads, temperatures and the
  rest are those of the presets \`tiny*\`.${summary.densecl ? ' But DenseCL has the stem of the others, so that its last map has 2 x 2 cells.' : ''}${otherSides(report)}
- **Training:** ${settings.seconds ? `updates for as long as MoCo v2 takes for ${updates}, of` : `${updates} updates of`} ${batch} images for each arm, SGD with momentum 0.9 and decay 0.0001, a cosine over
  the updates.${changed.length > 0 ? ` Other than the presets: ${changed.join('; ')}.` : ''} A seed gives all arms the same order of images.
  ${summary.simclr ? `SimCLR has its negatives from the batch, ${2 * batch - 2} of them.` : ''}
- **Learning rates,** at batch 256: ${rates(report)}
- **kNN and linear accuracy:** of the averages of each stage's map at ${evaluationSize} pixels, with the labels of ${settings.labelled} training
  images. kNN as \`detco eval knn\`; linear as \`detco eval linear --cached\`, protocol \`lightly\`, ${settings.linearEpochs} epochs.
- **Cells:** a linear classifier tells of each cell of a map which class's box covers its middle, or none. It learns from
  4 cells of each of ${settings.boxed} images, ${settings.cellEpochs} epochs. Balanced accuracy is the mean over ${classes} classes and background, by chance ${digits(1 / (classes + 1))}.
- **AP50:** a detector with one hidden layer on the frozen cells of res3 and res4, without anchors, trained for
  ${settings.detectorEpochs} epochs on ${settings.boxed} images. Average precision at IoU 0.5, area under the curve, mean over classes.
- **Machine:** ${machine.cpu}, ${machine.cores} cores; ${versions.engine};
  Node ${versions.node.slice(1)}; ${date.slice(0, 10)}. Raw numbers: [${raw.split('/').at(-1)}](${raw}).

${varied(main, variations)}

## To vary it

Each option has a folder of its own; its report is in that folder:

<!-- example: not run, benchmarks take minutes and want the machine for themselves -->

\`\`\`sh
npm run bench:quality                                 # all arms; --seeds 9 adds seeds
npm run bench:quality -- --updates 2400 --work DIR    # longer training
npm run bench:quality -- --seconds --work DIR         # as many seconds for each, not as many updates
npm run bench:quality -- --levels 1,1,1,1 --work DIR  # of res2 to res5
npm run bench:quality -- --queue-size 2048 --work DIR
npm run bench:quality -- --photo --work DIR           # vivid and busy pictures
npm run bench:quality -- --quick                      # two minutes on two cores, to see that it runs
npm run bench:quality -- --page                       # this page, from bench/results
\`\`\`

Where there are more cores, \`--jobs\` takes them all: each job is a process with one thread of the CPU, for the networks are small. To have a variation of any
machine on this page, copy its \`DIR/quality-DATE.json\` to \`bench/results/quality-NAME-DATE.json\` and write the page anew.
`);
}

function headlines(summary, cell) {
  return markdown(['', ...Object.values(HEADLINES)], rowsOf(summary, Object.keys(HEADLINES), cell));
}

function byStage(summary, kind, cell) {
  const names = STAGES.map((stage) => `${kind}.${stage}`);
  return markdown(['', ...STAGES], rowsOf(summary, names, cell));
}

/** Which arm has the highest mean in each column. */
function highest(summary) {
  const best = Object.entries(HEADLINES).map(([name, title]) => {
    const [arm] = Object.keys(summary).toSorted((a, b) => summary[b][name].mean - summary[a][name].mean);
    return { arm: ARMS[arm].title, title };
  });
  const arms = [...new Set(best.map(({ arm }) => arm))];
  const columns = (arm) => best.flatMap((one) => (one.arm === arm ? [one.title] : [])).join('; ');
  return arms.length === 1
    ? `The highest mean of each column is that of ${arms[0]}.`
    : `The highest means: ${arms.map((arm) => `${arm} (${columns(arm)})`).join(', ')}.`;
}

/** Arms that were not trained, and those with fewer seeds than the others. */
function leftOut({ arms = [], seeds }) {
  const none = arms.flatMap((arm) => (seeds[arm] === undefined ? [ARMS[arm]?.title ?? arm] : []));
  const fewer = Object.entries(seeds).flatMap(([arm, count]) => (count < seeds[BASELINE] ? [`${ARMS[arm].title} (${count})`] : []));
  return [
    none.length > 0 ? `Not trained for this page: ${none.join(', ')}. ` : '',
    fewer.length > 0 ? `Of fewer seeds: ${fewer.join(', ')}. ` : '',
  ].join('');
}

/** Arms that compare an image with what they kept of it, where no image comes twice; and what they come to where each comes more often. */
function withoutSecondLook({ summary, settings }, variations) {
  const keeping = Object.keys(summary).filter((arm) => methodKind(METHOD_PRESETS[ARMS[arm].preset].method.name).forImages !== undefined);
  if (keeping.length === 0 || passes(settings) > 1) return '';
  const titles = keeping.map((arm) => ARMS[arm].title).join(' and ');
  const again = variations.find(({ report }) => passes(report.settings) >= 2 && keeping.every((arm) => report.summary[arm]));
  return `${titles} compare an image with what they kept of it when it came before. Here none
comes twice, and what they keep of it is still random: their rows do not say what such methods are worth. ${again ? ofSecondLooks(again.report, keeping) : ''}`;
}

function ofSecondLooks({ summary, seeds, settings }, keeping) {
  const worth = ['untrained', BASELINE, ...keeping]
    .filter((arm) => summary[arm])
    .map((arm) => `${ARMS[arm].title} ${spread(summary[arm]['linear.res5'])}`);
  return `With ${settings.images.train} pictures, which come ${passes(settings).toFixed(1)} times each, linear accuracy of res5 is: ${worth.join(', ')}, of ${counted(seeds[BASELINE], 'seed')}. `;
}

function passes({ updates, batch, images }) {
  return (updates * batch) / images.train;
}

/** Arms with views of another size than all have. */
function otherSides({ summary, settings }) {
  const others = Object.keys(summary).filter((arm) => sideOf(arm, settings) !== settings.globalSize);
  if (others.length === 0) return '';
  return ` Views of ${others.map((arm) => `${sideOf(arm, settings)} pixels for ${ARMS[arm].title}`).join(' and ')}, which predict whole cells of the last map.`;
}

function withoutBaseline(summary) {
  return Object.fromEntries(Object.entries(summary).filter(([arm]) => arm !== BASELINE));
}

function claimTable(claims) {
  const rows = claims.map(({ text, verdict, difference: found }) => [text, verdict, difference(found)]);
  return markdown(['than MoCo v2', 'here', 'difference'], rows);
}

function rates({ search, settings: { rates: tried, widenings = 0, searchUpdates, images } }) {
  if (tried.length === 1) return `${tried[0]} for all.`;
  const chosen = Object.entries(search).map(([arm, { rate }]) => `${ARMS[arm].title} ${rate}`);
  const beyond =
    widenings > 0
      ? ` Where the first or the last was the best, the next beyond it was tried too, up to ${counted(widenings, 'time')}.`
      : '';
  return `for each arm the best of ${tried.join(', ')} by kNN of res5 on ${images.search} images that nothing else
  uses, after ${searchUpdates} updates with another seed.${beyond} Chosen: ${chosen.join(', ')}.`;
}
