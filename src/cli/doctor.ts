/** `detco doctor`: what this machine offers, which engines run on it, and what would make the others run. */
import { availableParallelism, cpus, freemem, totalmem } from 'node:os';
import { Command } from 'commander';
import { inspectEngines } from '../engine/index.js';
import type { EngineReport } from '../engine/index.js';
import { inspectTfjs } from '../engine/packages.js';
import { inspectTensorFlowState, type TensorFlowState } from '../engine/tensorflow/state.js';
import type { TorchInfo } from '../engine/torch/addon.js';
import { RANKS_REMEDY } from '../engine/torch/commands.js';
import { NVJPEG_REMEDY } from '../engine/torch/nvjpeg.js';
import { inspectTorch, type TorchState } from '../engine/torch/state.js';
import { uvThreads } from '../pipeline/machine.js';
import { counted } from '../common/counted.js';
import { printJson, printLines } from './print.js';

const GIB = 2 ** 30;

interface Report {
  readonly node: string;
  readonly platform: string;
  readonly cpu: { readonly model: string; readonly cores: number };
  readonly memory: { readonly totalBytes: number; readonly freeBytes: number };
  /** Versions of the image decoder, or why it does not load. */
  readonly sharp: { readonly sharp: string; readonly vips: string } | { readonly error: string };
  readonly uvThreads: { readonly threads: number; readonly set: boolean };
  readonly engines: readonly EngineReport[];
  readonly torch: TorchState;
  readonly tensorflow: TensorFlowState;
}

async function inspectSharp(): Promise<Report['sharp']> {
  try {
    const { default: sharp } = await import('sharp');
    return { sharp: sharp.versions.sharp ?? 'unknown', vips: sharp.versions.vips };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

/** What loading an addon has shown goes before what its files promise; before both, what all engines need. */
function withStates(engines: readonly EngineReport[], states: Pick<Report, 'torch' | 'tensorflow'>): EngineReport[] {
  if (inspectTfjs() !== undefined) return [...engines];
  return engines.map((engine) => {
    const unavailable = engine.name === 'wasm' ? undefined : states[engine.name].unavailable;
    return unavailable === undefined ? engine : { ...engine, available: false, ...unavailable };
  });
}

async function inspect(): Promise<Report> {
  const [engines, torch, tensorflow] = await Promise.all([inspectEngines(), inspectTorch(), inspectTensorFlowState()]);
  return {
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
    cpu: { model: cpus()[0]?.model ?? 'unknown', cores: availableParallelism() },
    memory: { totalBytes: totalmem(), freeBytes: freemem() },
    sharp: await inspectSharp(),
    uvThreads: { threads: uvThreads(), set: process.env['UV_THREADPOOL_SIZE'] !== undefined },
    engines: withStates(engines, { torch, tensorflow }),
    torch,
    tensorflow,
  };
}

const gib = (bytes: number): string => `${(bytes / GIB).toFixed(1)} GiB`;

const indent = (line: string): string => `${' '.repeat(20)}${line}`;

/** LibTorch, its devices, and what slows it down. */
function torchLines({ info, libraryFolder, nvjpeg, warnings }: TorchState): string[] {
  if (info === undefined) return [];
  const folder = libraryFolder === undefined ? '' : ` in ${libraryFolder}`;
  const cuda = info.cudaDevices.map(
    ({ name, capability, totalBytes }, index) => `cuda:${index}  ${name}, compute capability ${capability}, ${gib(totalBytes)}`,
  );
  return [
    `LibTorch ${info.version}${folder}`,
    `cpu     ${counted(availableParallelism(), 'thread')}`,
    ...(cuda.length > 0 ? cuda : [`no CUDA device: ${info.cudaReason ?? 'none is visible'}`]),
    ...(cuda.length > 0 ? [`JPEGs   ${nvjpeg === undefined ? `not decoded on a GPU: ${NVJPEG_REMEDY}` : `by ${nvjpeg}`}`] : []),
    `ranks   ${ranksInWords(info)}`,
    ...warnings.map((warning) => `warning: ${warning}`),
  ];
}

/** What several processes can train by, and how to add what is missing for the devices here. */
function ranksInWords({ rankTransports, cudaDevices }: TorchInfo): string {
  const names = { gloo: 'on CPUs (Gloo)', nccl: 'on GPUs (NCCL)' } as const;
  const have = rankTransports.map((transport) => names[transport]).join(', ');
  const wanted = cudaDevices.length > 0 ? 'nccl' : 'gloo';
  const lacks = rankTransports.includes(wanted) ? '' : `${have === '' ? '' : '; '}none ${names[wanted]}: ${RANKS_REMEDY[wanted]}`;
  return `${have}${lacks}`;
}

/** TensorFlow, whose package it is, its devices, and what keeps it from them. */
function tensorflowLines({ info, packageName, source, libraryFolder, warnings }: TensorFlowState): string[] {
  if (info === undefined) return [];
  const origin = source === 'built' ? `${packageName} built for it` : `the stock ${packageName}`;
  const cuda = info.cudaDevices.map(
    ({ name, capability, usableBytes }, index) => `cuda:${index}  ${name}, compute capability ${capability}, ${gib(usableBytes)} usable`,
  );
  return [
    `TensorFlow ${info.version} in ${libraryFolder}, ${origin}`,
    `cpu     ${counted(availableParallelism(), 'thread')}`,
    ...(info.gpu ? (cuda.length > 0 ? cuda : ['a CUDA GPU']) : [`no CUDA device: ${info.gpuReason ?? 'none is visible'}`]),
    ...warnings.map((warning) => `warning: ${warning}`),
  ];
}

function lines({ node, platform, cpu, memory, sharp, uvThreads, engines, torch, tensorflow }: Report): string[] {
  const decoder = 'error' in sharp ? `does not load: ${sharp.error}` : `${sharp.sharp}, libvips ${sharp.vips}`;
  const rows: [string, string][] = [
    ['Node', node],
    ['platform', platform],
    ['CPU', `${cpu.model}, ${counted(cpu.cores, 'core')}`],
    ['memory', `${gib(memory.totalBytes)}, ${gib(memory.freeBytes)} free`],
    ['sharp', decoder],
    ['UV_THREADPOOL_SIZE', uvThreads.set ? String(uvThreads.threads) : `not set (${uvThreads.threads})`],
  ];
  const best = engines.find(({ available }) => available);
  return [
    ...rows.map(([name, value]) => `${name.padEnd(20)}${value}`),
    '',
    `engines (--engine auto takes ${best === undefined ? 'none' : best.name})`,
    ...engines.flatMap(({ name, available, description, reason, remedy }) => [
      `  ${available ? 'yes' : 'no '} ${name.padEnd(14)}${description}`,
      ...(available ? [] : [`${reason}: ${remedy}`]).map(indent),
      ...(name === 'torch' ? torchLines(torch) : name === 'tensorflow' ? tensorflowLines(tensorflow) : []).map(indent),
    ]),
  ];
}

/** The `doctor` command. Exits with 1 when the decoder or every engine is missing, for then nothing can train. */
export function doctorCommand(): Command {
  return new Command('doctor')
    .description('show what this machine offers and which engines run on it')
    .option('--json', 'print one JSON object')
    .action(async ({ json = false }: { json?: boolean }) => {
      const report = await inspect();
      if (json) printJson(report);
      else printLines(lines(report));
      if ('error' in report.sharp || !report.engines.some(({ available }) => available)) process.exitCode = 1;
    });
}
