/** A wheel of TensorFlow, unpacked with Python's own zip reader: libraries, C headers, and the files that tell what it is. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { isAbsent, lastLine, NamedPlaceError, PYTHONS } from '../native/place.js';
import { LIBRARIES, OLDEST_TENSORFLOW, readTensorFlow, type LibTensorFlow } from './libtensorflow.js';

/** As wheels name this machine; the glibc that they need is told by the loader. */
const MACHINES: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64' };

/** argv: the wheel, the folder, the first words of the names that are taken. Prints one JSON object. */
const UNPACK = `
import json, sys, zipfile
wheel, into, *starts = sys.argv[1:]
try:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        tags = [line.split(':', 1)[1].strip() for name in names if name.endswith('.dist-info/WHEEL')
            for line in archive.read(name).decode().splitlines() if line.startswith('Tag:')]
        taken = [name for name in names if name.startswith(tuple(starts)) or '.dist-info/' in name]
        if into:
            archive.extractall(into, taken)
        print(json.dumps({'tags': tags, 'names': [name for name in taken if name.count('/') == 1]}))
except (zipfile.BadZipFile, EOFError) as error:
    print(json.dumps({'problem': str(error)}))
`;
const TAKEN = ['tensorflow/libtensorflow', 'tensorflow/include/', 'tensorflow/python/platform/build_info.py'];

const EXPECTED =
  'expected a wheel of tensorflow or tensorflow-cpu for this machine, as it comes from: python3 -m pip download --no-deps tensorflow-cpu';

const run = promisify(execFile);

interface Contents {
  readonly tags: readonly string[];
  readonly names: readonly string[];
}

/**
 * Looks into a wheel and leaves nothing on the disk.
 * @throws NamedPlaceError when the file is no wheel, or one without a TensorFlow for this machine
 */
export async function checkWheel(wheel: string, env: NodeJS.ProcessEnv, signal?: AbortSignal): Promise<void> {
  if (!existsSync(wheel)) refuse(wheel, 'no such file');
  const { tags, names } = await contents(wheel, '', env, signal);
  if (tags.length === 0) refuse(wheel, 'it is no wheel, for it has no .dist-info/WHEEL');
  const platforms = [...new Set(tags.map((tag) => tag.split('-').at(-1) ?? ''))];
  const machine = MACHINES[process.arch] ?? process.arch;
  const fits = platforms.some((platform) => platform === 'any' || (/^(many)?linux/.test(platform) && platform.endsWith(`_${machine}`)));
  if (!fits) refuse(wheel, `it is for ${platforms.join(', ')}, this machine is linux_${machine}`);
  const missing = LIBRARIES.find((library) => !names.includes(`tensorflow/${library}`));
  const distribution = names.find((name) => name.endsWith('.dist-info/WHEEL'))?.split('.dist-info')[0];
  if (missing === undefined) return;
  refuse(wheel, `${distribution} has no tensorflow/${missing}, which wheels of TensorFlow ${OLDEST_TENSORFLOW} and newer have`);
}

/**
 * Unpacks the parts of a wheel that the build needs.
 * @param into a folder; the package is `into/tensorflow`
 * @param wheel one that `checkWheel` has passed
 * @throws NamedPlaceError when its TensorFlow cannot be used
 */
export async function unpackWheel(wheel: string, into: string, env: NodeJS.ProcessEnv, signal?: AbortSignal): Promise<LibTensorFlow> {
  await contents(wheel, into, env, signal);
  const read = readTensorFlow(join(into, 'tensorflow'));
  return 'problem' in read ? refuse(wheel, read.problem) : read;
}

function refuse(wheel: string, problem: string): never {
  throw new NamedPlaceError(`--wheel ${JSON.stringify(wheel)}: ${problem}; ${EXPECTED}`);
}

async function contents(wheel: string, into: string, env: NodeJS.ProcessEnv, signal: AbortSignal | undefined): Promise<Contents> {
  for (const python of PYTHONS) {
    try {
      const { stdout } = await run(python, ['-c', UNPACK, wheel, into, ...TAKEN], { env, signal, maxBuffer: 2 ** 24 });
      const told = JSON.parse(stdout) as Contents | { problem: string };
      return 'problem' in told ? refuse(wheel, `it cannot be read as a wheel (${told.problem})`) : told;
    } catch (error) {
      if (error instanceof NamedPlaceError) throw error;
      signal?.throwIfAborted();
      if (!isAbsent(error))
        throw new Error(`The wheel ${JSON.stringify(wheel)} could not be unpacked by ${python}: ${lastLine(error)}`, { cause: error });
    }
  }
  throw new Error(
    `Cannot unpack ${JSON.stringify(wheel)}: no Python (${PYTHONS.join(', ')}) runs here. Install one: apt-get install python3`,
  );
}
