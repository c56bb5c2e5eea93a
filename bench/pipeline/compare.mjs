/** The pipeline beside torchvision and beside the bare JPEG decoders, at one number of workers. */
import { availableParallelism } from 'node:os';
import { node, ours, peerVersions, torchvision, UV_THREADS } from './configurations.mjs';
import { cell, keep, log, machine, machineLine, median, versions } from './report.mjs';

/** @returns the report, and it as lines of text */
export async function compare(shards, settings) {
  const peer = await peerVersions();
  const before = machine();
  const { stages, ceilingThreads } = await prepare(shards);
  const configurations = configurationsOf(shards, settings, { ceilingThreads, peer });
  const { rounds } = settings;
  const runs = [];
  for (let round = 1; round <= rounds; round++) {
    for (const { name, run } of configurations) {
      const result = await run();
      runs.push({ round, name, ...result });
      log(`round ${round}/${rounds}  ${name.padEnd(32)} ${result.imagesPerSecond.toFixed(1).padStart(8)} images/s`);
    }
  }
  const summary = configurations.map(({ name }) => summarise(name, runs));
  const rate = (name) => summary.find((row) => row.name === name)?.imagesPerSecond;
  const over = (a, b) => (rate(a) && rate(b) ? rate(a) / rate(b) : null);
  const report = {
    ratio: over('detco', 'torchvision'),
    ratioRandAugment: over('detco + RandAugment', 'torchvision + RandAugment'),
    ofDecodeCeiling: over('detco', 'decode only: sharp'),
    ofDecodeCeilingRandAugment: over('detco + RandAugment', 'decode only: sharp'),
    summary,
    stages,
    settings: { ...settings, uvThreads: UV_THREADS, ceilingThreads },
    machine: before,
    versions: versions(peer),
    date: new Date().toISOString(),
    runs,
  };
  await keep('pipeline', report);
  return { report, lines: linesOf(report) };
}

function configurationsOf(shards, { workers, batch, seconds }, { ceilingThreads, peer }) {
  const same = { shards, workers, batch, seconds };
  const peers = [
    { name: 'torchvision', run: () => torchvision(same) },
    { name: 'torchvision + RandAugment', run: () => torchvision(same, ['--randaugment']) },
  ];
  return [
    { name: 'detco', run: () => ours({ ...same, randAugment: false }) },
    { name: 'detco + RandAugment', run: () => ours({ ...same, randAugment: true }) },
    ...(peer ? peers : []),
    { name: 'decode only: sharp', run: () => ceiling(shards, ceilingThreads, seconds) },
    ...(peer ? [{ name: 'decode only: PIL, libjpeg-turbo', run: () => torchvision(same, ['--stage', 'decode']) }] : []),
  ];
}

function ceiling(shards, threads, seconds) {
  return node('ceiling.mjs', { shards, seconds, warmUpSeconds: 1, inFlight: 2 * threads }, { threads });
}

/** Stages alone, and the number of decoding threads with which sharp is fastest here. */
async function prepare(shards) {
  log('measuring the stages alone, and how many threads sharp likes best');
  const stages = await node('stages.mjs', { shards });
  const candidates = [...new Set([availableParallelism(), UV_THREADS, 2 * availableParallelism()])];
  let best = { imagesPerSecond: 0, threads: UV_THREADS };
  for (const threads of candidates) {
    const { imagesPerSecond } = await ceiling(shards, threads, 2);
    if (imagesPerSecond > best.imagesPerSecond) best = { imagesPerSecond, threads };
  }
  return { stages, ceilingThreads: best.threads };
}

function summarise(name, runs) {
  const mine = runs.filter((run) => run.name === name);
  const rates = mine.map(({ imagesPerSecond }) => imagesPerSecond);
  return {
    name,
    imagesPerSecond: median(rates),
    min: Math.min(...rates),
    max: Math.max(...rates),
    cpuMs: median(mine.map((run) => run.cpuMs)),
    systemMs: median(mine.map((run) => run.systemMs)),
    peakMB: median(mine.map((run) => run.peakMB ?? run.peakRssMB)),
    firstBatchMs: median(mine.map((run) => run.firstBatchMs)),
  };
}

function linesOf(report) {
  const { stages, summary, settings } = report;
  const sharpLine = `  sharp decodes in       ${cell(stages.sharpMs, 2)}`;
  const costs = [
    ['detco', stages.augmentMs],
    ['detco + RandAugment', stages.augmentRandAugmentMs],
  ];
  return [
    `\n${machineLine(report.machine)}; ${settings.workers} workers, batches of ${settings.batch}`,
    `photographs of ${stages.meanPixels} pixels and ${stages.meanJpegBytes} bytes on average; median of ${settings.rounds} runs of ${settings.seconds} s\n`,
    `${''.padEnd(32)} images/s  (min - max)        CPU ms  of it system  peak MB  first batch ms`,
    ...summary.map((row) => {
      const spread = `(${row.min.toFixed(0)} - ${row.max.toFixed(0)})`.padEnd(14);
      return `${row.name.padEnd(31)}${cell(row.imagesPerSecond)}  ${spread}${cell(row.cpuMs, 2)}${cell(row.systemMs, 2)}     ${cell(row.peakMB)}${cell(row.firstBatchMs)}`;
    }),
    `\nCPU ms an image; stages alone${'decode'.padStart(10)}  augment     rest`,
    ...costs.map(([name, augmentMs]) => {
      const total = summary.find((row) => row.name === name)?.cpuMs;
      return `  ${name.padEnd(22)}${cell(stages.decodeMs, 2)}${cell(augmentMs, 2)}${cell(total - stages.decodeMs - augmentMs, 2)}`;
    }),
    sharpLine,
    '',
    `detco / torchvision                           ${cell(report.ratio, 2)}   with RandAugment${cell(report.ratioRandAugment, 2)}`,
    `detco / sharp decoding and doing nothing else ${cell(report.ofDecodeCeiling, 2)}   with RandAugment${cell(report.ofDecodeCeilingRandAugment, 2)}`,
  ];
}
