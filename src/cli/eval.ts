/** `detco eval`: what a checkpoint is worth. */
import { Command } from 'commander';
import { inspectTfjs } from '../engine/packages.js';
import { PROTOCOL_NAMES } from '../eval/linear-protocols.js';
import { withChoices } from './choices.js';
import { addCommonOptions, addDataOptions, type EvalName, evalSchemas } from './eval-options.js';
import { UsageError } from './usage-error.js';

async function evaluate(name: EvalName, raw: Readonly<Record<string, unknown>>): Promise<void> {
  const missing = inspectTfjs();
  if (missing !== undefined) throw new UsageError(`an evaluation needs TensorFlow.js: ${missing.reason}; ${missing.remedy}`);
  const { EVALUATIONS } = await import('./eval-run.js');
  await EVALUATIONS[name](raw);
}

export function evalCommand(): Command {
  const onKnn = addDataOptions(
    new Command('knn').description('the nearest training images vote on the class of each validation image'),
    true,
  )
    .option('--k <n>', 'neighbours that vote (default: 200, or a tenth of a smaller set)')
    .option('--temperature <t>', "of the votes' weights (default: 0.07)")
    .option('--confusion <file>', 'draw the confusion matrix, a PNG')
    .option('--neighbours <file>', 'draw some images and their neighbours, a PNG');
  const onLinear = addDataOptions(new Command('linear').description('train a linear classifier on the frozen features'), true)
    .option('--protocol <name>', PROTOCOL_NAMES.join(', '), 'moco')
    .option('--cached', 'compute features once, without augmentation, and search the learning rate: an answer in seconds')
    .option('--lr <rate>', "learning rate at batch 256 (default: the protocol's; with --cached the best of several)")
    .option('--epochs <n>', "epochs (default: the protocol's)")
    .option('--batch <n>', 'images a step (default: 256)')
    .option('--classes <n>', 'classes (default: as the labels have them)')
    .option('--confusion <file>', 'draw the confusion matrix, a PNG');
  const onSvm = addDataOptions(new Command('svm').description('train a linear SVM for each class, as VOC07 classification has them'), true)
    .option('--classes-field <field>', 'field with the classes of an image, of which it may have several, as [3, 7]')
    .option('--costs <list>', 'costs that are tried (default: 2^-19 to 2^-4, 0.01, 0.1, 1, 10, 100)');
  const onRank = addDataOptions(new Command('rank').description('how many dimensions the features use; no labels are needed'), false);
  const command = new Command('eval').description('what the features of a checkpoint are worth');
  for (const [one, name] of [
    [onKnn, 'knn'],
    [onLinear, 'linear'],
    [onSvm, 'svm'],
    [onRank, 'rank'],
  ] as const)
    command.addCommand(
      withChoices(addCommonOptions(one), evalSchemas[name].shape).action((raw: Readonly<Record<string, unknown>>) => evaluate(name, raw)),
    );
  return command;
}
