/**
 * Packs the package and installs it as a stranger does, in empty folders, from the registry: whole, and the pipeline alone. Says what each
 * takes on the disk, runs what each is for, and compiles and runs projects of several kinds and the examples against it. Fails when one has grown too
 * large, npm has something to warn of, the package's metadata are wrong, or a command or a project does not run.
 *
 *     node scripts/check-install.mjs [--keep]
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { run } from './check-install/command.mjs';
import { checkExamples } from './check-install/examples.mjs';
import { checkMetadata } from './check-install/metadata.mjs';
import { checkAlone, checkCommonJs, checkProjects, checkTypes, giveFrom } from './check-install/projects.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const SHARDS = 'shards/train-{000..001}.tar';
const SHARD = 'shards/train-000.tar';
const TRAIN = [
  'train',
  '--preset',
  'tiny',
  '--engine',
  'wasm',
  '--shards',
  SHARDS,
  '--batch',
  '8',
  '--queue-size',
  '16',
  '--steps',
  '2',
  '--out',
  'first',
];
/** Without a tensor library. */
const PIPELINE = [
  ['synth', '--out', 'shards', '--count', '48', '--per-shard', '24', '--size', '48x48'],
  ['verify', '--shards', SHARDS],
  ['index', '--shards', SHARDS, '--out', 'indexes'],
  ['shard', SHARD, '--out', 'again/train'],
  ['views', '--shards', SHARDS, '--out', 'views.png'],
  ['profile', '--shards', SHARDS, '--batch', '8', '--seconds', '2'],
];
const REMEDY = 'npm install @tensorflow/tfjs-core@4 @tensorflow/tfjs-backend-wasm@4';

const { values } = parseArgs({ options: { keep: { type: 'boolean', default: false } } });
const work = mkdtempSync(join(tmpdir(), 'detco-install-'));
try {
  check();
} catch (error) {
  console.error(`check-install: ${error.message}\nleft in ${work}`);
  process.exit(1);
}
if (values.keep) console.log(`left in ${work}`);
else rmSync(work, { recursive: true });

function check() {
  const packed = run(ROOT, 'npm', ['pack', '--json', '--pack-destination', work]);
  const [{ filename, size, unpackedSize }] = JSON.parse(packed.stdout.slice(packed.stdout.indexOf('[')));
  const tarball = join(work, filename);
  console.log(`${filename}: ${(size / 1e6).toFixed(2)} MB, unpacked ${(unpackedSize / 1e6).toFixed(2)} MB`);
  checkMetadata(ROOT, tarball);
  const oldestNode = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).engines.node.replace('>=', '');

  const whole = install(tarball, { name: 'whole', flags: [], maxMb: 140, figure: /(\d+)\s+MB\s+with\s+TensorFlow/ });
  for (const args of PIPELINE) detco(whole, args);
  detco(whole, TRAIN);
  giveFrom(ROOT, whole);
  checkProjects(ROOT, whole, SHARD);
  checkTypes(ROOT, whole);
  checkExamples(ROOT, whole, SHARDS, 'first');
  const oldest = checkCommonJs(ROOT, whole, SHARD, oldestNode);

  const alone = install(tarball, { name: 'pipeline', flags: ['--omit=peer'], maxMb: 75, figure: /pipeline\s+alone\s+takes\s+(\d+)\s+MB/ });
  for (const args of PIPELINE) detco(alone, args);
  giveFrom(ROOT, alone);
  checkAlone(ROOT, alone, SHARD, oldest);
  detco(alone, TRAIN, { status: 2, says: REMEDY });
  detco(alone, ['doctor'], { status: 1, says: REMEDY });
  console.log('the pipeline alone names what training needs');
}

/**
 * @param figure where README.md says how much it takes
 * @returns a folder with the package in its node_modules
 */
function install(tarball, { name, flags, maxMb, figure }) {
  const folder = join(work, name);
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), '{ "private": true }');
  const args = ['install', ...flags, tarball];
  const { stderr } = run(folder, 'npm', args);
  if (stderr.includes('warn')) throw new Error(`npm warns while it installs (${name}):\n${stderr}`);
  const mb = Number.parseInt(run(folder, 'du', ['-sm', 'node_modules']).stdout, 10);
  console.log(`${name}: ${mb} MB (npm ${args.join(' ')}; du -sm node_modules)`);
  const [, stated] = readFileSync(join(ROOT, 'README.md'), 'utf8').match(figure) ?? [];
  if (!(Math.abs(mb - Number(stated)) <= 2)) throw new Error(`${name}: README.md says ${stated} MB, where it matches ${figure}`);
  if (mb > maxMb)
    throw new Error(`${name}: more than ${maxMb} MB; see what has grown with --keep and: du -m node_modules | sort -n | tail`);
  return folder;
}

function detco(folder, args, expected) {
  run(folder, 'npx', ['detco', ...args], expected);
}
