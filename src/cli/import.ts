/** `detco import` */
import { Command } from 'commander';
import { z } from 'zod';
import { counted } from '../common/counted.js';
import { oneOf } from '../common/one-of.js';
import { quoted } from '../common/quoted.js';
import { shellWord } from '../common/shell-word.js';
import { ENCODERS, importBackbone, WeightsError } from '../interop/index.js';
import { codeOf } from '../common/error-code.js';
import { withChoices } from './choices.js';
import { assertFolder, writeError } from './output.js';
import { display, printJson, say, warn } from './print.js';
import { withProgress } from './progress.js';
import { parseOptions, UsageError } from './usage-error.js';
import { architectureInWords, leftOutLines } from './weights.js';

const schema = z.object({
  out: z.string().min(1, 'expected a folder; give for example --out weights/moco'),
  encoder: oneOf(ENCODERS),
  json: z.boolean().default(false),
});

async function run(file: string, raw: Readonly<Record<string, unknown>>): Promise<void> {
  const { out, encoder, json } = parseOptions(schema, raw);
  await assertFolder('--out', out);
  const interrupted = 'interrupted; nothing was written';
  const report = await withProgress({ title: 'import', interrupted }, ({ signal, update }) => {
    display.work(`reading ${file}`);
    const onProgress = (done: number, total: number): void => {
      signal.throwIfAborted();
      update({ done, total, unit: 'bytes' });
    };
    return importBackbone(file, out, { encoder, onProgress });
  }).catch((error: unknown) => {
    if (error instanceof RangeError) throw new UsageError(`--out ${error.message}`, { cause: error });
    throw error instanceof WeightsError || codeOf(error) === undefined ? error : writeError(out, error);
  });
  const { architecture, source, loaded, warnings } = report;
  for (const warning of warnings) warn(warning);
  const names =
    source.form === 'detco' ? '' : `, by the names of ${source.form}${source.prefix === '' ? '' : `; stripped ${quoted(source.prefix)}`}`;
  say(`${architectureInWords(architecture)} from ${source.path}${names}`);
  for (const dtype of source.converted) say(`converted: ${dtype} to float32`);
  for (const line of leftOutLines(source.leftOut)) say(line);
  say(
    `${counted(loaded, 'tensor')} loaded into ${report.path}; npx detco export --checkpoint ${shellWord(out)} writes them for other programs`,
  );
  if (json) printJson({ out, ...report });
}

/** Reads a backbone of other programs. */
export function importCommand(): Command {
  const command = new Command('import')
    .description('read the backbone of torchvision, timm, MoCo, OpenSelfSup, VISSL, DINO, Detectron2 or DetCo; nothing of the file is run')
    .argument('<file>', 'weights: .pth, .pth.tar, .safetensors or .pkl')
    .requiredOption('--out <dir>', 'folder of the weights: backbone.safetensors and backbone.json')
    .option('--encoder <name>', 'query or key, where the file has both', 'query')
    .option('--json', 'print what was read as one JSON object')
    .action(run);
  return withChoices(command, schema.shape);
}
