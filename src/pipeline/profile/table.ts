/** A report as text, at most 100 columns wide. */
import { counted } from '../../common/counted.js';
import { formatByteSize } from '../../common/byte-size.js';
import { msText, percent, rate } from './format.js';
import type { ProfileReport, StageReport } from './report.js';
import type { SweepPoint } from './sweep.js';
import { contentionText } from './verdict.js';

const WIDTH = 100;

/** Breaks at spaces; lines after the first are indented. */
function wrap(text: string, indent = ''): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = indent + word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

const COLUMNS = ['stage', 'visits', 'p50', 'p90', 'p99', 'busy', 'found', 'of the wait', 'bytes', 'failed'] as const;

/** What a row of the table says, column by column. */
export function stageCells(stage: StageReport): string[] {
  const { name, count, perSecond, p50Ms, p90Ms, p99Ms, utilisation, readiness, shareOfWaiting, bytesPerSecond, failures, kind } = stage;
  return [
    name.startsWith('augment.') ? `  ${name.slice('augment.'.length)}` : name,
    count === 0 ? '-' : `${rate(perSecond)}/s`,
    ...[p50Ms, p90Ms, p99Ms].map((ms) => (count === 0 ? '-' : msText(ms))),
    kind === 'work' ? percent(utilisation) : '',
    readiness === undefined || count === 0 ? '' : percent(readiness),
    shareOfWaiting === undefined ? '' : percent(shareOfWaiting),
    bytesPerSecond === 0 ? '' : `${formatByteSize(bytesPerSecond)}/s`,
    failures === 0 ? '' : String(failures),
  ];
}

export const stageColumns: readonly string[] = COLUMNS;

/** A report as `detco profile` prints it. */
export function reportLines(report: ProfileReport): string[] {
  const rows = [[...COLUMNS], ...report.stages.map(stageCells)];
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const table = rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
  return [
    ...wrap(report.verdict),
    ...wrap(`-> ${report.nextStep}`, '   '),
    '',
    ...summary(report).map(([name, value]) => `${name.padEnd(20)}${value}`),
    '',
    ...table,
  ];
}

/** Free data slow nobody down: something else took the machine's time. Below this it is noise. */
const NOISE = 0.05;

/** Whether a measurement with free data says nothing, being slower than the run itself. */
export function wasDisturbed({ gain }: NonNullable<ProfileReport['ifDataWereFree']>): boolean {
  return gain < -NOISE;
}

/** Name and value of the figures that stand above the table. */
export function summary(report: ProfileReport): [name: string, value: string][] {
  const { imagesPerSecond, demand, supply, ifDataWereFree, ceiling, utilisation, setup, firstBatchMs, epochFirst, steps, seconds } = report;
  const workers = utilisation.workers.map(percent).join(', ');
  return [
    ['rate', `${rate(imagesPerSecond)} images/s (${counted(steps, 'batch')} of ${setup.batchSize} in ${rate(seconds)} s)`],
    ...(demand === undefined ? [] : [['demand', `${rate(demand)} images/s, if the consumer never waited`] as [string, string]]),
    [
      'supply',
      `${rate(supply.imagesPerSecond)} images/s, ${supply.measured ? 'measured' : 'an estimate'}; ${rate(ceiling.imagesPerSecond)} at the very most with ${rate(setup.cores)} cores`,
    ],
    ...(ifDataWereFree === undefined
      ? []
      : [
          [
            'if data were free',
            `${rate(ifDataWereFree.imagesPerSecond)} images/s${wasDisturbed(ifDataWereFree) ? ', slower than the run itself: this was disturbed' : `: ${percent(Math.max(0, ifDataWereFree.gain))} more`}`,
          ] as [string, string],
        ]),
    [
      'first batch',
      `${firstBatchMs === undefined ? '' : `${msText(firstBatchMs)} after the start; `}${epochFirst.count === 0 ? 'no epoch began meanwhile' : `${msText(epochFirst.p50Ms)} wait for the first of an epoch`}`,
    ],
    [
      'cores',
      `${percent(utilisation.cores)} of ${rate(setup.cores)} by this process, ${ceiling.cpuMsPerImage.toFixed(1)} ms an image; machine ${percent(utilisation.machine)} busy`,
    ],
    [
      'event loops',
      `${workers.length > 60 ? `${setup.workers} workers, the busiest ${percent(Math.max(...utilisation.workers))}` : `workers ${workers}`}; consumer ${percent(utilisation.consumerLoop)}`,
    ],
    ...(utilisation.contention ? [['contention', `workers that have work are ${contentionText(utilisation)}`] as [string, string]] : []),
    [
      'decoder',
      `${utilisation.decoding.toFixed(1)} images at a time, ${percent(utilisation.decodedByWorkers)} in the workers; ${utilisation.decoderQueue.toFixed(1)} queue for ${setup.uvThreads} other threads`,
    ],
    ...(utilisation.leftToDevice > 0
      ? [['device', `${percent(utilisation.leftToDevice)} of the images left to it compressed`] as [string, string]]
      : []),
    [
      'read',
      `${formatByteSize(report.bytesPerSecond)}/s from the ${report.medium}, ${formatByteSize(report.bytesPerImage)} an image${report.amplification >= 1.5 ? `, each byte ${report.amplification.toFixed(1)} times` : ''}${report.retries === 0 ? '' : `; ${report.retries} requests repeated`}`,
    ],
    ['memory', formatByteSize(report.rssBytes)],
  ];
}

/** A sweep over workers as `detco profile --sweep` prints it; `best` is the number of workers that it names. */
export function sweepLines(points: readonly SweepPoint[], best: number): string[] {
  const most = Math.max(...points.map(({ imagesPerSecond }) => imagesPerSecond));
  return [
    'workers  images/s  cores',
    ...points.map(
      ({ workers, imagesPerSecond, cores }) =>
        `${String(workers).padStart(7)}  ${rate(imagesPerSecond).padStart(8)}  ${percent(cores).padStart(5)}  ${'#'.repeat(Math.round((40 * imagesPerSecond) / most))}${workers === best ? '  <- enough' : ''}`,
    ),
  ];
}
