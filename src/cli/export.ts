/** `detco export` */
import { Command } from 'commander';
import { z } from 'zod';
import { formatByteSize } from '../common/byte-size.js';
import { codeOf } from '../common/error-code.js';
import { oneOf } from '../common/one-of.js';
import { quoted } from '../common/quoted.js';
import { ENCODERS, endingProblem, EXPORT_FORMATS, exportBackbone, loadBackbone, placeProblem, usageLines } from '../interop/index.js';
import { withChoices } from './choices.js';
import { assertFile, writeError } from './output.js';
import { display, printJson, say, warn } from './print.js';
import { withProgress } from './progress.js';
import { parseOptions, UsageError } from './usage-error.js';
import { architectureInWords, leftOutLines } from './weights.js';

const schema = z.object({
  checkpoint: z.string().min(1, 'expected a run, a checkpoint of one, or weights; give for example --checkpoint runs/first'),
  format: oneOf(EXPORT_FORMATS),
  encoder: oneOf(ENCODERS),
  out: z.string().min(1, 'expected a file; give for example --out r50.pth'),
  json: z.boolean().default(false),
});

async function run(raw: Readonly<Record<string, unknown>>): Promise<void> {
  const { checkpoint, format, encoder, out, json } = parseOptions(schema, raw);
  const problem = endingProblem(out, format) ?? (await placeProblem(out, checkpoint));
  if (problem !== undefined) throw new UsageError(`--out ${quoted(out)}: ${problem}`);
  await assertFile('--out', out);
  const interrupted = 'interrupted; nothing was written';
  const { backbone, report } = await withProgress({ title: 'export', interrupted }, async ({ signal, update }) => {
    display.work(`reading ${checkpoint}`);
    const backbone = await loadBackbone(checkpoint, { encoder });
    for (const warning of backbone.warnings) warn(warning);
    const onProgress = (done: number, total: number): void => {
      signal.throwIfAborted();
      update({ done, total, unit: 'bytes' });
    };
    const report = await exportBackbone(backbone, out, format, { onProgress }).catch((error: unknown) => {
      throw codeOf(error) === undefined ? error : writeError(out, error);
    });
    return { backbone, report };
  });
  const { architecture, source } = backbone;
  const usage = usageLines(format, out, architecture);
  const step = source.step === undefined ? '' : ` after step ${source.step}`;
  say(`${architectureInWords(architecture)}, the ${encoder} encoder of ${source.path}${step}`);
  for (const line of leftOutLines(report.leftOut)) say(line);
  say(`${report.keys} keys written to ${out} (${format}, ${formatByteSize(report.bytes)})`);
  for (const line of ['', ...usage]) say(line);
  if (json) printJson({ ...report, architecture, source, usage });
}

/** Writes a backbone for other programs. */
export function exportCommand(): Command {
  const command = new Command('export')
    .description('write the backbone of a run for torchvision, Detectron2, timm and others')
    .requiredOption('--checkpoint <path>', "a run's folder, RUN/checkpoints/step-N, a folder of detco import, or a file of weights")
    .option('--format <name>', `${EXPORT_FORMATS.join(', ')}`, 'torchvision')
    .option('--encoder <name>', 'query, which the optimizer moves, or key, which follows it slowly', 'query')
    .requiredOption(
      '--out <file>',
      'the file: .pth or .safetensors for torchvision and timm, .pkl for detectron2, .pth.tar for moco, .onnx for onnx',
    )
    .option('--json', 'print what was written as one JSON object')
    .action(run);
  return withChoices(command, schema.shape);
}
