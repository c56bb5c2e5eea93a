/** `detco doctor`: what this machine offers, which engines run on it, and what would make the others run. */
import { availableParallelism, cpus, freemem, totalmem } from 'node:os';
import { Command } from 'commander';
import { inspectEngines } from '../engine/index.js';
import type { EngineReport } from '../engine/index.js';
import { uvThreads } from '../pipeline/machine.js';

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
}

async function inspectSharp(): Promise<Report['sharp']> {
  try {
    const { default: sharp } = await import('sharp');
    return { sharp: sharp.versions.sharp ?? 'unknown', vips: sharp.versions.vips };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

async function inspect(): Promise<Report> {
  return {
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
    cpu: { model: cpus()[0]?.model ?? 'unknown', cores: availableParallelism() },
    memory: { totalBytes: totalmem(), freeBytes: freemem() },
    sharp: await inspectSharp(),
    uvThreads: { threads: uvThreads(), set: process.env['UV_THREADPOOL_SIZE'] !== undefined },
    engines: await inspectEngines(),
  };
}

function lines({ node, platform, cpu, memory, sharp, uvThreads, engines }: Report): string[] {
  const decoder = 'error' in sharp ? `does not load: ${sharp.error}` : `${sharp.sharp}, libvips ${sharp.vips}`;
  const gib = (bytes: number): string => `${(bytes / GIB).toFixed(1)} GiB`;
  const rows: [string, string][] = [
    ['Node', node],
    ['platform', platform],
    ['CPU', `${cpu.model}, ${cpu.cores} cores`],
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
      ...(available ? [] : [`${' '.repeat(20)}${reason}: ${remedy}`]),
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
      console.log(json ? JSON.stringify(report) : lines(report).join('\n'));
      if ('error' in report.sharp || !report.engines.some(({ available }) => available)) process.exitCode = 1;
    });
}
