/** `detco engine build`: compiles what an engine needs beyond npm. */
import { Command } from 'commander';
import { z } from 'zod';
import { NamedPlaceError, type Place } from '../engine/native/place.js';
import { blasWarning } from '../engine/torch/blas.js';
import { buildTorch } from '../engine/torch/build.js';
import { buildTensorFlow } from '../engine/tensorflow/build.js';
import { assertFolder } from './output.js';
import { parseOptions, UsageError } from './usage-error.js';
import { withProgress } from './progress.js';
import { whole } from './number.js';
import { printJson, printLines, say, warn } from './print.js';

const torchSchema = z
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

const tensorflowSchema = z
  .object({
    python: z.string().min(1, 'expected a Python; give for example --python /usr/bin/python3').optional(),
    wheel: z
      .string()
      .min(1, 'expected a file; give for example --wheel tensorflow_cpu-2.21.0-cp311-cp311-manylinux_2_27_x86_64.whl')
      .optional(),
    json: z.boolean().default(false),
  })
  .refine(({ python, wheel }) => python === undefined || wheel === undefined, {
    path: ['wheel'],
    error: 'it is built against one TensorFlow: give --wheel or --python, not both',
  });

interface Hearing {
  readonly signal: AbortSignal;
  readonly onPlace: (looked: Place) => void;
  readonly onLine: (line: string) => void;
  /** The places that were looked at so far. */
  readonly places: readonly Place[];
}

/**
 * Runs a build: where it looks and what it does goes to stderr, Ctrl-C stops it.
 * @throws UsageError for a place that was named and cannot be used
 */
async function building<Report>(build: (hearing: Hearing) => Promise<Report>): Promise<Report> {
  const places: Place[] = [];
  const onPlace = ({ place, folder, found }: Place): void => {
    places.push(folder === undefined ? { place, found } : { place, folder, found });
    say(`${place}${folder === undefined ? '' : ` (${folder})`}: ${found}`);
  };
  const interrupted = 'interrupted; the last build, if there is one, is as it was';
  try {
    return await withProgress({ title: 'engine build', interrupted }, ({ signal }) => build({ signal, onPlace, onLine: say, places }));
  } catch (error) {
    throw error instanceof NamedPlaceError ? new UsageError(error.message) : error;
  }
}

async function torch(raw: Readonly<Record<string, unknown>>): Promise<void> {
  const { json, ...options } = parseOptions(torchSchema, raw);
  await assertFolder('--work', options.work);
  await building(async ({ places, ...hearing }) => {
    const { file, record, info, seconds } = await buildTorch({ ...options, ...hearing });
    const slow = blasWarning(record.libraryFolder);
    if (slow !== undefined) warn(slow);
    const device = record.cuda ? 'CPU and CUDA' : 'CPU';
    const summary = `${file}: for LibTorch ${record.torchVersion}, ${device}, in ${seconds.toFixed(0)} s`;
    if (json) printJson({ file, ...record, info, seconds, places });
    else printLines([summary]);
  });
}

async function tensorflow(raw: Readonly<Record<string, unknown>>): Promise<void> {
  const { json, ...options } = parseOptions(tensorflowSchema, raw);
  await building(async ({ places, ...hearing }) => {
    const { file, record, info, seconds } = await buildTensorFlow({ ...options, ...hearing });
    const device = record.cuda === undefined ? 'CPU' : 'CPU and CUDA';
    const summary = `${file}: ${record.packageName} ${record.packageVersion} for TensorFlow ${record.tensorflowVersion}, ${device}, in ${seconds.toFixed(0)} s`;
    if (json) printJson({ file, ...record, info, seconds, places });
    else printLines([summary]);
  });
}

export function engineCommand(): Command {
  const onTorch = new Command('torch')
    .description('compile the addon under the engine torch with CMake, against LibTorch 1.13 or newer')
    .option(
      '--libtorch <dir>',
      "LibTorch: an unpacked zip, a Python package's torch folder, or a prefix (default: $LIBTORCH, python3's, the system's)",
    )
    .option('--jobs <n>', 'files compiled at once (default: the cores, as memory allows)')
    .option('--work <dir>', 'keep the objects here; the next build compiles only what has changed')
    .option('--tests', 'also compile the C++ test programs, into --work')
    .option('--json', 'print the report as one JSON object')
    .action(torch);
  const onTensorFlow = new Command('tensorflow')
    .description('compile the binding of @tensorflow/tfjs-node against a TensorFlow from PyPI, 2.12 or newer')
    .option('--python <file>', "the Python whose TensorFlow is used (default: python3's, then /usr/bin/python3's)")
    .option('--wheel <file>', 'a wheel of tensorflow or tensorflow-cpu instead; its libraries are kept beside the addon')
    .option('--json', 'print the report as one JSON object')
    .action(tensorflow);
  const build = new Command('build').description('compile what an engine needs beyond npm').addCommand(onTorch).addCommand(onTensorFlow);
  return new Command('engine').description('engines that need more than npm').addCommand(build);
}
