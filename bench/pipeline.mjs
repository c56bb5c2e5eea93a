/**
 * The pipeline beside torchvision and beside the bare JPEG decoders, on the same shards with the same workers and batches.
 * Needs a build; the peer needs Debian's python3-torch, python3-torchvision and python3-pil.
 *
 *     npm run bench:pipeline -- [--rounds 3] [--seconds 7] [--workers CORES] [--batch 32] [--images 1280] [--json]
 *
 * Every measurement has a process of its own and a warm-up outside the timer; the configurations take turns, so that a machine
 * that slows down slows all of them. Raw numbers go to bench/results/.
 */
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import sharp from 'sharp';
import { measure } from './pipeline/child.mjs';
import { benchShards, wholeNumber } from './pipeline/shards.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const PYTHON = process.env.BENCH_PYTHON ?? '/usr/bin/python3';
const PEER_INSTALL = 'apt-get install -y python3-torch python3-torchvision python3-pil';
/** V8 compiles what turns out to be hot for some seconds. */
const WARM_UP_SECONDS = 3;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '7' },
    workers: { type: 'string', default: String(availableParallelism()) },
    batch: { type: 'string', default: '32' },
    images: { type: 'string', default: '1280' },
    json: { type: 'boolean', default: false },
  },
});
const rounds = wholeNumber('rounds', values.rounds);
const seconds = wholeNumber('seconds', values.seconds);
const workers = wholeNumber('workers', values.workers);
const batch = wholeNumber('batch', values.batch);
const images = wholeNumber('images', values.images);
const uvThreads = Math.max(4, availableParallelism());

const log = (text) => process.stderr.write(`${text}\n`);

const shards = await benchShards(images);
const versions = await peerVersions();
if (!versions) log(`No peer: ${PYTHON} has no torch, torchvision or PIL. To compare, run: ${PEER_INSTALL}\n`);
const load = loadavg();
const { stages, ceilingThreads } = await prepare();

const CONFIGURATIONS = [
  { name: 'detco', run: () => ours(false) },
  { name: 'detco + RandAugment', run: () => ours(true) },
  ...(versions
    ? [
        { name: 'torchvision', run: () => peer([]) },
        { name: 'torchvision + RandAugment', run: () => peer(['--randaugment']) },
      ]
    : []),
  { name: 'decode only: sharp', run: () => ceiling(ceilingThreads, seconds) },
  ...(versions ? [{ name: 'decode only: PIL, libjpeg-turbo', run: () => peer(['--stage', 'decode']) }] : []),
];

const runs = [];
for (let round = 1; round <= rounds; round++) {
  for (const { name, run } of CONFIGURATIONS) {
    const result = await run();
    runs.push({ round, name, ...result });
    log(`round ${round}/${rounds}  ${name.padEnd(32)} ${result.imagesPerSecond.toFixed(1).padStart(8)} images/s`);
  }
}
const summary = CONFIGURATIONS.map(({ name }) => summarise(name));
const report = await makeReport();
print();
if (values.json) console.log(JSON.stringify(report));

function node(script, options, threads) {
  return measure(process.execPath, [join(HERE, 'pipeline', script), JSON.stringify({ shards, ...options })], {
    UV_THREADPOOL_SIZE: String(threads),
  });
}

function ours(randAugment) {
  return node('ours.mjs', { workers, batch, seconds, warmUpSeconds: WARM_UP_SECONDS, randAugment }, uvThreads);
}

function ceiling(threads, duration) {
  return node('ceiling.mjs', { seconds: duration, warmUpSeconds: 1, inFlight: 2 * threads }, threads);
}

/** The reference measures images a second itself; what it uses is seen from outside. */
async function peer(options) {
  const args = [join(HERE, 'peers', 'torchvision_views.py'), ...shards, '--workers', String(workers), '--batch', String(batch)];
  const result = await measure(PYTHON, [...args, '--seconds', String(seconds), ...options]);
  const cpuMs = result.cpuPerWall && (1000 * result.cpuPerWall) / result.imagesPerSecond;
  return { imagesPerSecond: result.imagesPerSecond, cpuMs, peakMB: result.peakMB };
}

async function peerVersions() {
  const script = 'import json, torch, torchvision, PIL; print(json.dumps([torch.__version__, torchvision.__version__, PIL.__version__]))';
  const { stdout } = await promisify(execFile)(PYTHON, ['-c', script]).catch(() => ({ stdout: '' }));
  if (stdout === '') return undefined;
  const [torch, torchvision, pil] = JSON.parse(stdout);
  return { torch, torchvision, pil };
}

/** Stages alone, and the number of decoding threads with which sharp is fastest here. */
async function prepare() {
  log('measuring the stages alone, and how many threads sharp likes best');
  const alone = await node('stages.mjs', {}, uvThreads);
  const candidates = [...new Set([availableParallelism(), uvThreads, 2 * availableParallelism()])];
  let best = { imagesPerSecond: 0, threads: uvThreads };
  for (const threads of candidates) {
    const { imagesPerSecond } = await ceiling(threads, 2);
    if (imagesPerSecond > best.imagesPerSecond) best = { imagesPerSecond, threads };
  }
  return { stages: alone, ceilingThreads: best.threads };
}

function summarise(name) {
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

function median(numbers) {
  const known = numbers.filter((value) => value !== undefined).toSorted((a, b) => a - b);
  if (known.length === 0) return null;
  const middle = known.length >> 1;
  return known.length % 2 === 1 ? known[middle] : (known[middle - 1] + known[middle]) / 2;
}

async function makeReport() {
  const rate = (name) => summary.find((row) => row.name === name)?.imagesPerSecond;
  const over = (a, b) => (rate(a) && rate(b) ? rate(a) / rate(b) : null);
  const report = {
    ratio: over('detco', 'torchvision'),
    ratioRandAugment: over('detco + RandAugment', 'torchvision + RandAugment'),
    ofDecodeCeiling: over('detco', 'decode only: sharp'),
    ofDecodeCeilingRandAugment: over('detco + RandAugment', 'decode only: sharp'),
    summary,
    stages,
    settings: { rounds, seconds, workers, batch, images, uvThreads, ceilingThreads },
    machine: { cpu: cpus()[0]?.model, cores: availableParallelism(), memoryGB: Math.round(totalmem() / 1e9), kernel: release(), load },
    versions: {
      node: process.version,
      sharp: sharp.versions.sharp,
      libvips: sharp.versions.vips,
      mozjpeg: sharp.versions.mozjpeg,
      ...versions,
    },
    date: new Date().toISOString(),
    runs,
  };
  const file = join(HERE, 'results', `pipeline-${report.date.slice(0, 10)}.json`);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `${JSON.stringify(report, undefined, 1)}\n`);
  log(`raw numbers: ${relative(process.cwd(), file)}`);
  return report;
}

function print() {
  const { machine } = report;
  const cell = (value, digits = 0) => (value === null || value === undefined ? '-' : value.toFixed(digits)).padStart(9);
  const out = values.json ? log : (text) => console.log(text);
  out(
    `\n${machine.cpu}, ${machine.cores} cores, load ${load.map((x) => x.toFixed(1)).join(' ')}, Node ${process.version}; ${workers} workers, batches of ${batch}`,
  );
  out(
    `photographs of ${stages.meanPixels} pixels and ${stages.meanJpegBytes} bytes on average; median of ${rounds} runs of ${seconds} s\n`,
  );
  out(`${''.padEnd(32)} images/s  (min - max)        CPU ms  of it system  peak MB  first batch ms`);
  for (const row of summary) {
    const spread = `(${row.min.toFixed(0)} - ${row.max.toFixed(0)})`.padEnd(14);
    out(
      `${row.name.padEnd(31)}${cell(row.imagesPerSecond)}  ${spread}${cell(row.cpuMs, 2)}${cell(row.systemMs, 2)}     ${cell(row.peakMB)}${cell(row.firstBatchMs)}`,
    );
  }
  out(`\nCPU ms an image; stages alone${'decode'.padStart(10)}  augment     rest`);
  for (const [name, augmentMs] of [
    ['detco', stages.augmentMs],
    ['detco + RandAugment', stages.augmentRandAugmentMs],
  ]) {
    const total = summary.find((row) => row.name === name)?.cpuMs;
    out(`  ${name.padEnd(22)}${cell(stages.decodeMs, 2)}${cell(augmentMs, 2)}${cell(total - stages.decodeMs - augmentMs, 2)}`);
  }
  out('');
  out(`detco / torchvision                           ${cell(report.ratio, 2)}   with RandAugment${cell(report.ratioRandAugment, 2)}`);
  out(
    `detco / sharp decoding and doing nothing else ${cell(report.ofDecodeCeiling, 2)}   with RandAugment${cell(report.ofDecodeCeilingRandAugment, 2)}`,
  );
}
