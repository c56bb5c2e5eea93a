/**
 * A training step beside PyTorch's: the trainer's own update on an engine, and `peers/detco_torch.py`, which states the same step as a
 * PyTorch user writes it (channels_last; on a GPU cuDNN's search). Needs a build; the peer needs a Python with torch and torchvision.
 *
 *     npm run bench:step -- [--engine torch|tensorflow|wasm] [--device cpu|cuda] [--precision fp32,bf16] [--arch resnet50] [--batch 8]
 *         [--global-size 224] [--patch-size 64] [--queue-size 65536] [--steps 5] [--rounds 3] [--threads CORES]
 *         [--no-graph] [--eager] [--peer eager,graph,compile,compile+graph] [--no-peer] [--python FILE] [--kernels] [--json] [--out FILE]
 *
 * Every measurement has a process of its own and a warm-up outside the timer; the sides take turns, so that a machine that slows
 * down slows all. `--peer` says how PyTorch runs its step, each mode a side: eager (the default), recorded as a CUDA graph, by torch.compile,
 * or both. `--eager` also times updates without the CUDA graph, before those with it in the same process. `--kernels` adds
 * where ours spends its time, with a device that is waited for after each kernel.
 */
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { inspectEngines } from '../dist/engine/index.js';
import { readOptions, wholeNumber } from './arguments.mjs';
import { findPeer, PEER_INSTALL, PEER_MODES, peerArguments, peerName } from './step/peer.mjs';

const OURS = join(dirname(fileURLToPath(import.meta.url)), 'step', 'ours.mjs');
const PRECISIONS = ['fp32', 'tf32', 'bf16'];
const KERNEL_ROWS = 25;

const log = (text) => process.stderr.write(`${text}\n`);
const { engine, device, precisions, rounds, json, out, kernels, ...settings } = readArguments();
await checkEngine();
const peer = await choosePeer();
const load = loadavg();
const runs = [];
for (let round = 1; round <= rounds; round++) {
  for (const precision of precisions) {
    await measure(round, precision, 'detco', process.execPath, [OURS, ours(precision)]);
    for (const mode of peer ? settings.peers : [])
      await measure(round, precision, peerName(mode), peer.python, peerArguments({ ...settings, mode, precision, device }));
  }
}
const report = await makeReport();
if (out) {
  await mkdir(dirname(out), { recursive: true });
  await writeFile(out, `${JSON.stringify(report, undefined, 1)}\n`);
}
print(json ? log : console.log);
if (json) console.log(JSON.stringify(report));
process.exitCode = precisions.every((precision) => report.runs[precision].imagesPerSecond !== null) ? 0 : 1;

function readArguments() {
  const values = readOptions({
    engine: { type: 'string', default: 'torch' },
    device: { type: 'string', default: 'cpu' },
    precision: { type: 'string' },
    arch: { type: 'string', default: 'resnet50' },
    batch: { type: 'string', default: '8' },
    'global-size': { type: 'string', default: '224' },
    'patch-size': { type: 'string', default: '64' },
    'queue-size': { type: 'string', default: '65536' },
    steps: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
    threads: { type: 'string', default: String(availableParallelism()) },
    graph: { type: 'boolean', default: true },
    eager: { type: 'boolean', default: false },
    peer: { type: 'string', default: 'eager' },
    'no-peer': { type: 'boolean', default: false },
    python: { type: 'string' },
    kernels: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    out: { type: 'string' },
  });
  const cuda = values.device.startsWith('cuda');
  const asked = (values.precision ?? defaultPrecisions(values.engine, cuda)).split(',');
  const unknown = asked.find((name) => !PRECISIONS.includes(name));
  if (unknown !== undefined) refuse(`--precision "${unknown}": expected ${PRECISIONS.join(', ')}, or several with commas between`);
  const peers = values['no-peer'] ? [] : values.peer.split(',');
  const mode = peers.find((one) => !PEER_MODES.includes(one));
  if (mode !== undefined) refuse(`--peer "${mode}": expected ${PEER_MODES.join(', ')}, or several with commas between`);
  const recorded = peers.find((one) => one.includes('graph'));
  if (recorded !== undefined && !cuda)
    refuse(`--peer ${recorded} on ${values.device}: a graph needs --device cuda; expected eager or compile`);
  const { engine: name, arch, graph, eager, python, json: asJson, out: file, kernels: table } = values;
  return {
    engine: name,
    device: values.device,
    precisions: asked,
    rounds: wholeNumber('rounds', values.rounds),
    json: asJson,
    out: file,
    kernels: table,
    arch,
    batch: wholeNumber('batch', values.batch),
    globalSize: wholeNumber('global-size', values['global-size']),
    patchSize: wholeNumber('patch-size', values['patch-size']),
    queueSize: wholeNumber('queue-size', values['queue-size']),
    steps: wholeNumber('steps', values.steps),
    // The third step is recorded; on a GPU the first ones search for convolutions.
    warmUp: cuda ? 5 : 3,
    threads: wholeNumber('threads', values.threads),
    graph,
    eager,
    peers,
    python,
  };
}

/** LibTorch alone has bfloat16. */
function defaultPrecisions(name, cuda) {
  return [name !== 'wasm' && cuda ? 'tf32' : 'fp32', ...(name === 'torch' ? ['bf16'] : [])].join(',');
}

/** Says why an engine cannot run before time is spent on the peer. */
async function checkEngine() {
  const reports = await inspectEngines();
  const report = reports.find(({ name }) => name === engine);
  if (report === undefined) refuse(`unknown engine "${engine}": expected ${reports.map(({ name }) => name).join(', ')}`);
  if (!report.available) refuse(`engine "${engine}" is not available: ${report.reason}; ${report.remedy}`);
}

function refuse(message) {
  log(`bench:step: ${message}`);
  process.exit(2);
}

async function choosePeer() {
  if (settings.peers.length === 0) return undefined;
  const found = await findPeer(device, settings.python);
  if (!found) log(`No peer: no Python here has torch and torchvision for ${device}. To compare, run: ${PEER_INSTALL}`);
  return found;
}

/** Options of our side as its one argument. The wasm engine has one thread and says no to a number of them. */
function ours(precision, more = {}) {
  const { threads, ...others } = settings;
  return JSON.stringify({ ...others, engine, device, precision, ...(engine === 'wasm' ? {} : { threads }), ...more });
}

/** Runs one measurement; one that fails is kept as an error and not tried again in later rounds. */
async function measure(round, precision, name, command, args) {
  if (runs.some((run) => run.name === name && run.precision === precision && run.error !== undefined)) return;
  const result = await run(command, args);
  runs.push({ round, precision, name, ...result });
  // The peer's OpenBLAS takes the same kernels, where it would take old ones for a CPU that it does not know.
  if (result.openblasCore !== undefined) process.env.OPENBLAS_CORETYPE = result.openblasCore;
  const rate = result.error ?? `${(settings.batch / (median(result.stepMs) / 1000)).toFixed(2).padStart(9)} images/s`;
  log(`round ${round}/${rounds}  ${precision}  ${name.padEnd(peerName('compile+graph').length)} ${rate}`);
}

async function run(command, args) {
  const threads = String(settings.threads);
  const env = { ...process.env, OMP_NUM_THREADS: threads, MKL_NUM_THREADS: threads, OPENBLAS_NUM_THREADS: threads };
  try {
    const { stdout } = await promisify(execFile)(command, args, { env, maxBuffer: 2 ** 26 });
    return JSON.parse(stdout.trim().split('\n').at(-1));
  } catch (error) {
    const lines = (error.stderr || error.message).trim().split('\n');
    // Node and Python tell the error in a line of its own, among their stacks.
    return { error: lines.findLast((line) => /^[\w.]*Error\b/.test(line)) ?? lines.slice(-4).join('\n') };
  }
}

function median(numbers) {
  const sorted = numbers.filter((value) => value !== undefined).toSorted((a, b) => a - b);
  if (sorted.length === 0) return null;
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Medians over all steps of all rounds of one side. */
function summarise(precision, name) {
  const mine = runs.filter((one) => one.precision === precision && one.name === name && one.error === undefined);
  const stepMs = mine.flatMap((one) => one.stepMs);
  if (stepMs.length === 0) return undefined;
  const eager = median(mine.flatMap((one) => one.eagerStepMs ?? []));
  return {
    imagesPerSecond: (1000 * settings.batch) / median(stepMs),
    ...(eager !== null && { eagerImagesPerSecond: (1000 * settings.batch) / eager }),
    stepMs: median(stepMs),
    minStepMs: Math.min(...stepMs),
    maxStepMs: Math.max(...stepMs),
    peakRssMB: median(mine.map((one) => one.peakRssMB)),
    peakDeviceMB: median(mine.map((one) => one.peakDeviceMB)),
    loss: mine.at(-1).loss,
  };
}

/** Ours beside the first mode of the peer, and beside each. */
function compare(precision) {
  const mine = summarise(precision, 'detco');
  const modes = settings.peers.map((mode) => [mode, beside(mine, summarise(precision, peerName(mode)))]);
  const [[, first] = [undefined, beside(mine, undefined)]] = modes;
  return { ...first, imagesPerSecond: mine?.imagesPerSecond ?? null, ours: mine, peers: Object.fromEntries(modes) };
}

function beside(mine, theirs) {
  const over = (key) => (mine?.[key] && theirs?.[key] ? mine[key] / theirs[key] : null);
  return {
    ratio: over('imagesPerSecond'),
    peerImagesPerSecond: theirs?.imagesPerSecond ?? null,
    peakRssRatio: over('peakRssMB'),
    peakDeviceRatio: over('peakDeviceMB'),
    peer: theirs,
  };
}

async function makeReport() {
  const compared = Object.fromEntries(precisions.map((precision) => [precision, compare(precision)]));
  const { ratio, imagesPerSecond, peerImagesPerSecond, peakRssRatio } = compared[precisions[0]];
  const tables = {};
  if (kernels)
    for (const precision of precisions) tables[precision] = await run(process.execPath, [OURS, ours(precision, { kernels: true })]);
  return {
    ratio,
    imagesPerSecond,
    peerImagesPerSecond,
    peakRssRatio,
    runs: compared,
    ...(kernels && { kernels: tables }),
    settings: { engine, device, precisions, rounds, ...settings },
    machine: { cpu: cpus()[0]?.model, cores: availableParallelism(), memoryGB: Math.round(totalmem() / 1e9), kernel: release(), load },
    versions: {
      node: process.version,
      engine: runs.find((one) => one.engine)?.engine,
      device: runs.find((one) => one.deviceName)?.deviceName,
      ...peer?.versions,
    },
    date: new Date().toISOString(),
    measurements: runs,
  };
}

function print(line) {
  const { arch, batch, globalSize, patchSize, queueSize, threads, steps, graph } = settings;
  const { versions, machine } = report;
  const cell = (value, digits = 0, width = 10) => (typeof value === 'number' ? value.toFixed(digits) : '-').padStart(width);
  line(
    `\n${versions.engine ?? engine}; ${versions.device ?? device}; PyTorch ${versions.torch ?? '-'}; ${machine.cpu}, ${threads} threads`,
  );
  line(
    `${arch}, batch ${batch}, ${globalSize}/${patchSize}, K ${queueSize}${graph ? '' : ', no graph'}; ${rounds} rounds of ${steps} steps\n`,
  );
  const width = Math.max(...['no graph', ...settings.peers.map(peerName)].map((name) => name.length)) + 1;
  line(`${''.padEnd(5 + width)}  images/s   step ms   (min - max)       peak MB  on device`);
  for (const precision of precisions) {
    const { ours: mine, peers } = report.runs[precision];
    const row = (name, side) => {
      if (!side) return;
      const spread = `(${side.minStepMs.toFixed(1)} - ${side.maxStepMs.toFixed(1)})`.padEnd(17);
      const memory = cell(side.peakRssMB) + cell(side.peakDeviceMB, 0, 11);
      line(`${precision} ${name.padEnd(width)}${cell(side.imagesPerSecond, 2)}${cell(side.stepMs, 1)}   ${spread}${memory}`);
    };
    row('detco', mine);
    if (mine?.eagerImagesPerSecond) line(`${precision} ${'no graph'.padEnd(width)}${cell(mine.eagerImagesPerSecond, 2)}`);
    for (const [mode, { peer: theirs, ratio, peakRssRatio, peakDeviceRatio }] of Object.entries(peers)) {
      row(peerName(mode), theirs);
      line(`${precision} ${'ratio'.padEnd(width)}${cell(ratio, 3)}${''.padEnd(30)}${cell(peakRssRatio, 2)}${cell(peakDeviceRatio, 2, 11)}`);
    }
  }
  for (const [precision, { kernels: rows, error }] of Object.entries(report.kernels ?? {})) {
    line(`\n${precision}: kernels of a step (each waited for)${' '.repeat(10)}calls        ms     share`);
    if (error) line(error);
    for (const { name, calls, ms, share } of rows?.slice(0, KERNEL_ROWS) ?? []) {
      line(`  ${name.padEnd(44)}${cell(calls)}${cell(ms, 3)}${cell(100 * share, 1, 8)} %`);
    }
  }
}
