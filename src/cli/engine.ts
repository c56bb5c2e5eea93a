/** `detco engine build`: compiles what an engine needs beyond npm. */
import { Command } from 'commander';
import { z } from 'zod';
import { NamedPlaceError, type Place } from '../engine/native/place.js';
import { blasWarning } from '../engine/torch/blas.js';
import { buildTorch } from '../engine/torch/build.js';
import { parseOptions, UsageError } from './usage-error.js';
import { watch } from './watch.js';
import { whole } from './whole.js';

const schema = z
  .object({
    libtorch: z.string().min(1, 'expected a folder; give for example --libtorch ~/libtorch').optional(),
    jobs: whole(1, 1024, '--jobs 2').optional(),
    work: z.string().min(1, 'expected a folder; give for example --work /tmp/detco-torch').optional(),
    tests: z.boolean().default(false),
    json: z.boolean().default(false),
  })
  .refine(({ tests, work }) => !tests || work !== undefined, {
    path: ['tests'],
    error: 'the test programs are left in the folder of --work: give one, for example --work /tmp/detco-torch',
  });

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Compiles the addon of the engine torch. @throws UsageError for a folder without a LibTorch that can be used */
async function build(raw: Readonly<Record<string, unknown>>): Promise<void> {
  const { json, ...options } = parseOptions(schema, raw);
  const places: Place[] = [];
  const onPlace = (looked: Place): void => {
    places.push(looked);
    say(`${looked.place}${looked.folder === undefined ? '' : ` (${looked.folder})`}: ${looked.found}`);
  };
  const interrupted = 'interrupted; the last build, if there is one, is as it was';
  try {
    const { file, record, info, seconds } = await watch({ format: '', interrupted }, ({ signal }) =>
      buildTorch({ ...options, signal, onPlace, onLine: say }),
    );
    const slow = blasWarning(record.libraryFolder);
    if (slow !== undefined) say(`warning: ${slow}`);
    const device = record.cuda ? 'CPU and CUDA' : 'CPU';
    const summary = `${file}: for LibTorch ${record.torchVersion}, ${device}, in ${seconds.toFixed(0)} s`;
    const found = places.map(({ place, folder, found }) => ({ place, folder, found }));
    console.log(json ? JSON.stringify({ file, ...record, info, seconds, places: found }) : summary);
  } catch (error) {
    throw error instanceof NamedPlaceError ? new UsageError(error.message) : error;
  }
}

export function engineCommand(): Command {
  const torch = new Command('torch')
    .description('compile the addon under the engine torch with CMake, against LibTorch 1.13 or newer')
    .option(
      '--libtorch <dir>',
      "LibTorch: an unpacked zip, a Python package's torch folder, or a prefix (default: $LIBTORCH, python3's, the system's)",
    )
    .option('--jobs <n>', 'files compiled at once (default: the cores, as memory allows)')
    .option('--work <dir>', 'keep the objects here; the next build compiles only what has changed')
    .option('--tests', 'also compile the C++ test programs, into --work')
    .option('--json', 'print the report as one JSON object')
    .action(build);
  const building = new Command('build').description('compile what an engine needs beyond npm').addCommand(torch);
  return new Command('engine').description('engines that need more than npm').addCommand(building);
}
