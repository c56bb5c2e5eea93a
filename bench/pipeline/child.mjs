/** Starts a measurement in a fresh process and watches what it and its children use, from outside, through /proc. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

const SAMPLE_MS = 500;
/** Clock ticks of /proc/PID/stat, 100 a second on every Linux that Node runs on. */
const TICK_MS = 10;

/**
 * Runs `command` and resolves to the object it prints last, with `peakMB`: the most memory its processes held together,
 * shared pages counted once (PSS), and `treeCpuMs(ms)`: processor time of all of them over the last `ms` sampled. Both are
 * undefined where there is no /proc.
 */
export function measure(command, args, env = {}) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] });
  const samples = [];
  const timer = setInterval(() => {
    const sample = sampleTree(child.pid);
    if (sample) samples.push(sample);
  }, SAMPLE_MS);
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (output += text));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      clearInterval(timer);
      if (code !== 0) return reject(new Error(`${command} ${args[0]} ended with code ${code}`));
      const result = JSON.parse(output.trim().split('\n').at(-1));
      const peakMB = samples.length > 0 ? Math.max(...samples.map(({ pssMB }) => pssMB)) : undefined;
      return resolve({ ...result, peakMB, cpuPerWall: cpuPerWall(samples) });
    });
  });
}

/** Processor time over wall time in the middle of the run: after the start, before the end. */
function cpuPerWall(samples) {
  const from = samples[Math.floor(samples.length / 2)];
  const to = samples.at(-3);
  return from && to && to.at > from.at ? (to.cpuMs - from.cpuMs) / (to.at - from.at) : undefined;
}

function sampleTree(root) {
  try {
    const at = performance.now();
    let cpuMs = 0;
    let pssMB = 0;
    for (const pid of descendants(root)) {
      // Fields after the command's name, which may hold blanks: utime and stime are the 14th and 15th of all.
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
      cpuMs += TICK_MS * (Number(fields[11]) + Number(fields[12]));
      pssMB += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0) / 1024;
    }
    return { at, cpuMs, pssMB };
  } catch {
    // Not Linux, or a process that ended between two reads.
    return undefined;
  }
}

function descendants(pid) {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean);
  return [pid, ...children.flatMap(descendants)];
}
