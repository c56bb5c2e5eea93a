/** The PyTorch reference of a step: which Python can run it, and with which arguments. */
import { execFile } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const SCRIPT = join(dirname(dirname(fileURLToPath(import.meta.url))), 'peers', 'detco_torch.py');
export const PEER_INSTALL = 'apt-get install -y python3-torch python3-torchvision';

/** Reads the packages' version files: importing them takes seconds, for each measurement. */
const PROBE = `import importlib.util, json, os, sys
def version(name):
    spec = importlib.util.find_spec(name)
    if spec is None: sys.exit(1)
    values = {}
    exec(open(os.path.join(os.path.dirname(spec.origin), "version.py")).read(), values)
    return values
torch = version("torch")
print(json.dumps({"torch": torch["__version__"], "torchvision": version("torchvision")["__version__"], "cuda": torch.get("cuda")}))`;

/** The first Python that has torch and torchvision, built for CUDA where `device` asks for it; undefined when none has. */
export async function findPeer(device, python = process.env.BENCH_PYTHON) {
  // Debian's packages belong to /usr/bin/python3; another python3 often comes first on PATH.
  const candidates = python === undefined ? ['/usr/bin/python3', 'python3', 'python'] : [python];
  for (const candidate of candidates) {
    const { stdout } = await promisify(execFile)(candidate, ['-c', PROBE]).catch(() => ({ stdout: '' }));
    if (stdout === '') continue;
    const { cuda, ...versions } = JSON.parse(stdout.trim().split('\n').at(-1));
    if (cuda || !device.startsWith('cuda')) return { python: candidate, versions };
  }
  return undefined;
}

/** How the peer runs its step. */
export const PEER_MODES = ['eager', 'graph', 'compile', 'compile+graph'];

/** What a side is called whose step runs so. */
export function peerName(mode) {
  return mode === 'eager' ? 'PyTorch' : `PyTorch ${mode}`;
}

/** Arguments of one measurement. */
export function peerArguments({ mode, precision, device, threads, arch, batch, globalSize, patchSize, queueSize, steps, warmUp }) {
  const options = {
    arch,
    batch,
    'global-size': globalSize,
    'patch-size': patchSize,
    K: queueSize,
    steps,
    warmup: warmUp,
    threads,
    mode,
    device: device.startsWith('cuda') ? 'cuda' : 'cpu',
  };
  return [
    SCRIPT,
    'bench',
    ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]),
    ...(precision === 'bf16' ? ['--bf16'] : []),
    ...(precision === 'fp32' ? ['--no-tf32'] : []),
  ];
}
