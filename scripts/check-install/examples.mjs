/** The examples, type-checked and run as files of a project that has installed the package. */
import { cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './command.mjs';
import { compile, giveFrom } from './projects.mjs';

/** What each is given, and what it says at the end. */
const EXAMPLES = {
  'plain-arrays.mjs': { args: (shards) => [shards], says: '48 images: mean 0.' },
  'custom-recipe.mjs': { args: (shards) => [shards], says: 'small: [8, 6, 36, 36, 3]' },
  'tensorflow.mjs': { args: (shards) => [shards], says: 'step 10: loss' },
  'onnx-runtime.mjs': { args: (shards, run) => [`${run}.onnx`, shards], says: '48 images of 24 classes, 128 features each' },
};

/** @param trained a run of the preset tiny */
export function checkExamples(root, folder, shards, trained) {
  const place = join(folder, 'examples');
  mkdirSync(place);
  const files = readdirSync(join(folder, 'node_modules/detco/examples')).filter((name) => name.endsWith('.mjs'));
  const unknown = files.filter((name) => !Object.hasOwn(EXAMPLES, name));
  if (unknown.length > 0 || files.length !== Object.keys(EXAMPLES).length) {
    throw new Error(
      `the package has the examples ${files.join(', ')}; scripts/check-install/examples.mjs runs ${Object.keys(EXAMPLES).join(', ')}`,
    );
  }
  for (const name of files) cpSync(join(folder, 'node_modules/detco/examples', name), join(place, name));
  giveFrom(root, folder, ['onnxruntime-web', 'onnxruntime-common']);

  const options = { strict: true, checkJs: true, noEmit: true, module: 'nodenext', target: 'es2022', types: ['node'], skipLibCheck: true };
  const lib = ['es2023', 'esnext.disposable', 'dom'];
  writeFileSync(join(place, 'tsconfig.json'), JSON.stringify({ compilerOptions: { ...options, lib }, files }));
  compile(root, place);

  run(folder, 'npx', ['detco', 'export', '--checkpoint', trained, '--format', 'onnx', '--out', `${trained}.onnx`]);
  for (const [name, { args, says }] of Object.entries(EXAMPLES)) {
    run(folder, process.execPath, [join('examples', name), ...args(shards, trained)], { says });
  }
  console.log(`${files.length} examples compile and run`);
}
