/**
 * What workers cost each other: the pipeline at 1, 2, 4 and so on workers, each beside as many processes of one worker on the same cores,
 * and beside torchvision at the same workers.
 */
import { availableParallelism } from 'node:os';
import { ours, peerVersions, torchvision, UV_THREADS } from './configurations.mjs';
import { futexesPerImage, hasStrace, STRACE_INSTALL } from './futexes.mjs';
import { cell, keep, log, machine, machineLine, median, versions } from './report.mjs';

/** So many on few cores tell of the hand-overs that the same number costs on as many cores. */
const OVERSUBSCRIBED = 16;
/** From the start of the processes that are measured together to where their measurement begins. */
const START_SECONDS = 6;

/** @returns the report, and it as lines of text */
export async function scale(shards, settings) {
  const peer = await peerVersions();
  const traced = hasStrace();
  if (!traced) log(`No futex calls: strace is not here. To count them, run: ${STRACE_INSTALL}\n`);
  const before = machine();
  const { rounds, batch, seconds } = settings;
  const cores = availableParallelism();
  const same = { shards, batch, seconds, randAugment: true };
  const runs = [];
  const counts = workerCounts(cores);
  for (let round = 1; round <= rounds; round++) {
    for (const workers of counts) {
      const add = (name, result) => {
        runs.push({ round, workers, name, ...result });
        log(`round ${round}/${rounds}  ${workers} workers  ${name.padEnd(12)} ${result.imagesPerSecond.toFixed(1).padStart(8)} images/s`);
      };
      add('detco', await ours({ ...same, workers }));
      if (workers > cores) continue;
      if (workers > 1) add('processes', await processes(workers, same));
      if (peer) add('torchvision', await torchvision({ ...same, workers }, ['--randaugment']));
    }
  }
  const rows = [];
  for (const workers of counts) {
    const futexes = traced ? await futexesPerImage({ ...same, workers, seconds: Math.min(seconds, 5) }) : null;
    rows.push(summarise(workers, runs, futexes));
  }
  const most = rows.findLast(({ workers }) => workers <= cores);
  const report = {
    contention: most.contention,
    futexesPerImage: most.futexesPerImage,
    ratio: most.ratio,
    rows,
    settings: { ...settings, workers: counts, uvThreads: UV_THREADS },
    machine: before,
    versions: versions(peer),
    date: new Date().toISOString(),
    runs,
  };
  await keep('scaling', report);
  return { report, lines: linesOf(report) };
}

/** Powers of two up to the cores, the cores, and more workers than cores where there are few. */
function workerCounts(cores) {
  const powers = Array.from({ length: 1 + Math.floor(Math.log2(cores)) }, (_, i) => 2 ** i);
  return [...new Set([...powers, cores, Math.max(cores, OVERSUBSCRIBED)])];
}

/** As many processes of one worker, at the same time: what they make together. */
async function processes(count, options) {
  const startAt = Date.now() + 1000 * START_SECONDS;
  const results = await Promise.all(Array.from({ length: count }, () => ours({ ...options, workers: 1, startAt })));
  const sum = (value) => results.reduce((total, result) => total + value(result), 0);
  const late = results.filter(({ firstBatchMs, window }) => window[0] - startAt > 1000 || firstBatchMs > 1000 * START_SECONDS);
  if (late.length > 0) log(`${late.length} of ${count} processes began late: their sum is too high where the others had ended`);
  return {
    imagesPerSecond: sum(({ imagesPerSecond }) => imagesPerSecond),
    cpuMs: sum(({ cpuMs, images }) => cpuMs * images) / sum(({ images }) => images),
  };
}

function summarise(workers, runs, futexes) {
  const of = (name) => runs.filter((run) => run.name === name && run.workers === workers);
  const rate = (name) => median(of(name).map(({ imagesPerSecond }) => imagesPerSecond));
  const over = (a, b) => (a && b ? a / b : null);
  const own = of('detco');
  return {
    workers,
    imagesPerSecond: rate('detco'),
    cpuMs: median(own.map(({ cpuMs }) => cpuMs)),
    systemMs: median(own.map(({ systemMs }) => systemMs)),
    switchesPerImage: median(own.map(({ switchesPerImage }) => switchesPerImage)),
    futexesPerImage: futexes,
    processes: rate('processes'),
    contention: over(rate('detco'), rate('processes')),
    torchvision: rate('torchvision'),
    ratio: over(rate('detco'), rate('torchvision')),
  };
}

function linesOf({ rows, settings, machine: where }) {
  const columns = [
    ['workers', 'workers', 0],
    ['images/s', 'imagesPerSecond', 0],
    ['CPU ms', 'cpuMs', 2],
    ['system', 'systemMs', 2],
    ['switches', 'switchesPerImage', 1],
    ['futexes', 'futexesPerImage', 1],
    ['processes', 'processes', 0],
    ['of that', 'contention', 2],
    ['peer', 'torchvision', 0],
    ['times', 'ratio', 2],
  ];
  return [
    `\n${machineLine(where)}; batches of ${settings.batch}, RandAugment; median of ${settings.rounds} runs of ${settings.seconds} s`,
    'CPU ms, context switches and futex calls are an image\'s; "processes" is what as many processes of one worker make; peer is torchvision\n',
    columns.map(([title]) => title.padStart(10)).join(''),
    ...rows.map((row) => columns.map(([, key, digits]) => ` ${cell(row[key], digits)}`).join('')),
  ];
}
