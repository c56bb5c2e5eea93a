/** Puts what `bench/gpu.sh` measured into OUT/results.json and a short table: node gpu-report.mjs WORK OUT */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { join } from 'node:path';

/** Updates that prepare kernels, fill the pipeline and record the graph; those after them count. */
const TRAIN_WARM_UP = 10;

const [work, out] = process.argv.slice(2);
const steps = readFileSync(join(work, 'steps.tsv'), 'utf8').trim().split('\n').map(asStep);
const reports = filesLike(/^bench-(\d+)-(\w+)\.json$/);
const benches = reports.flatMap(({ match, json }) => asBench(match, json));
const goldens = filesLike(/^golden-(\w+)-(\w+)\.json$/).map(({ match, json }) =>
  Object.assign({ file: match[1], precision: match[2] }, json),
);
const recorded = filesLike(/^recorded-.+\.json$/).map(({ json }) => json);
const views = filesLike(/^views-\w+\.json$/).map(({ json }) => json);
const [decode] = filesLike(/^decode\.json$/).map(({ json }) => json);
const [train, decodeTrain] = ['run-train', 'run-decode'].map((run) => readTrain(join(work, run)));
const machine = {
  gpu: ask('nvidia-smi', ['--query-gpu=name,driver_version,memory.total', '--format=csv,noheader']),
  torch: ask('python3', ['-c', 'import torch; print(torch.__version__)']),
  cpu: cpus()[0]?.model,
  cores: availableParallelism(),
  memoryGB: Math.round(totalmem() / 1e9),
  node: process.version,
};
const date = new Date().toISOString();
const results = {
  date,
  machine,
  steps,
  goldens,
  recorded,
  views,
  decode,
  benches,
  train,
  decodeTrain,
  reports: reports.map(({ json }) => json),
};
writeFileSync(join(out, 'results.json'), `${JSON.stringify(results, undefined, 1)}\n`);
const table = lines().join('\n');
writeFileSync(join(out, 'table.txt'), `${table}\n`);
console.log(`\n${table}`);
process.exitCode = steps.every(({ code }) => code === 0) ? 0 : 1;

function asStep(line) {
  const [part, name, code, seconds] = line.split('\t');
  return { part, name, code: Number(code), seconds: Number(seconds) };
}

/** The JSON files of the work folder whose names match; one that was cut off is left out. */
function filesLike(pattern) {
  return readdirSync(work).flatMap((name) => {
    const match = pattern.exec(name);
    if (!match) return [];
    try {
      const text = readFileSync(join(work, name), 'utf8').trim();
      return [{ match, json: JSON.parse(text) }];
    } catch {
      return [];
    }
  });
}

/** One measurement, beside each mode of the peer: a row with the graph, and one without it where that was timed too. */
function asBench([, batch, precision], json) {
  const { ours, peers } = json.runs[precision];
  const errors = json.measurements.flatMap((one) => (one.error === undefined ? [] : [`${one.name}: ${one.error}`]));
  return Object.entries(peers).flatMap(([mode, { peer, ratio, peakDeviceRatio }]) => {
    const about = { batch: Number(batch), precision, mode, peerImagesPerSecond: peer?.imagesPerSecond ?? null, errors };
    const memory = { peakDeviceMB: ours?.peakDeviceMB ?? null, peerPeakDeviceMB: peer?.peakDeviceMB ?? null, peakDeviceRatio };
    const rows = [{ ...about, graph: true, imagesPerSecond: ours?.imagesPerSecond ?? null, ratio, ...memory }];
    const eager = ours?.eagerImagesPerSecond;
    if (eager) rows.push({ ...about, graph: false, imagesPerSecond: eager, ratio: peer ? eager / peer.imagesPerSecond : null });
    return rows;
  });
}

function trainLine(name, run) {
  if (!run) return `${name}: no run`;
  const { batch, counted, updates, imagesPerSecond, dataWaitShare, firstLoss, lastLoss } = run;
  return `${name}: batch ${batch}, ${counted} of ${updates} updates, ${imagesPerSecond.toFixed(0)} images/s, ${(100 * dataWaitShare).toFixed(1)} % of the time waiting for data, loss ${firstLoss?.toFixed(3)} -> ${lastLoss?.toFixed(3)}`;
}

/** Images a second of the later updates, and the share of their time that was spent waiting for data. */
function readTrain(run) {
  const file = join(run, 'metrics.jsonl');
  if (!existsSync(file)) return null;
  const metrics = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .filter(({ stepMs }) => stepMs !== undefined);
  const later = metrics.slice(Math.min(TRAIN_WARM_UP, metrics.length >> 1));
  const sum = (key) => later.reduce((total, one) => total + one[key], 0);
  const { batch } = JSON.parse(readFileSync(join(run, 'config.json'), 'utf8'));
  const spentMs = sum('stepMs') + sum('dataWaitMs');
  return {
    batch,
    updates: metrics.length,
    counted: later.length,
    imagesPerSecond: (1000 * batch * later.length) / spentMs,
    stepMs: sum('stepMs') / later.length,
    dataWaitShare: sum('dataWaitMs') / spentMs,
    firstLoss: metrics[0]?.loss,
    lastLoss: metrics.at(-1)?.loss,
  };
}

function ask(command, args) {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return null;
  }
}

function lines() {
  const number = (value, digits, width) => (typeof value === 'number' ? value.toFixed(digits) : '-').padStart(width);
  const rows = benches.toSorted((a, b) => a.precision.localeCompare(b.precision) || a.batch - b.batch || Number(b.graph) - Number(a.graph));
  return [
    `${machine.gpu ?? 'no GPU'}; PyTorch ${machine.torch ?? '-'}; ${machine.cpu}, ${machine.cores} cores`,
    '',
    ...steps.map(
      ({ part, name, code, seconds }) => `${part.padEnd(12)}${name.padEnd(22)}${code === 0 ? 'ok' : `exit code ${code}`}, ${seconds} s`,
    ),
    '',
    ...goldens.map(({ file, precision, ok }) => `golden ${file} ${precision}: ${ok ? 'within tolerance' : 'OUT OF TOLERANCE'}`),
    '',
    ...recorded.map(
      ({ preset, optimizer, device, steps: updates, runsOfStep, recordedOnce, flat, fifths }) =>
        `recorded ${preset} ${optimizer}: ${recordedOnce ? (device === 'cpu' ? 'a program' : 'a CUDA graph') : 'NOT RECORDED ONCE'}, JavaScript ran in ${runsOfStep} of ${updates} updates, ${flat ? 'as many tensors to the end' : 'NOT FLAT'}, loss ${fifths.at(-1).loss.toFixed(3)}`,
    ),
    '',
    'batch  precision  graph   images/s  PyTorch            images/s   ratio   device MB    PyTorch',
    ...rows.map(
      ({ batch, precision, mode, graph, imagesPerSecond, peerImagesPerSecond, ratio, peakDeviceMB, peerPeakDeviceMB, errors }) =>
        `${number(batch, 0, 5)}  ${precision.padEnd(9)}  ${graph ? 'yes' : 'no '}  ${number(imagesPerSecond, 0, 10)}  ${mode.padEnd(15)} ${number(peerImagesPerSecond, 0, 10)}` +
        ` ${number(ratio, 2, 7)}  ${number(peakDeviceMB, 0, 10)} ${number(peerPeakDeviceMB, 0, 10)}  ${errors.join('; ').slice(0, 160)}`.trimEnd(),
    ),
    '',
    ...views.map(
      ({ precision, batch, imagesPerSecond, uploadImagesPerSecond, finishMsPerBatch }) =>
        `views ${precision}: batch ${batch}, ${imagesPerSecond.toFixed(0)} images/s, their upload alone ${uploadImagesPerSecond.toFixed(0)}, the rest ${finishMsPerBatch.toFixed(1)} ms a batch`,
    ),
    decode
      ? `decode on the device: ${decode.deviceImagesPerSecond.toFixed(0)} images/s, ${decode.cpuMsPerImage.toFixed(2)} ms of a core an image`
      : 'decode on the device: not measured',
    ...[train, decodeTrain].map((run, i) => trainLine(['train', 'train, decode on the device, 4 workers'][i], run)),
  ];
}
