/**
 * Packs the package and installs it as a stranger does, in empty folders, from the registry: whole, and the pipeline alone. Says what each
 * takes on the disk, and runs what each is for. Fails when one has grown too large, npm has something to warn of, or a command does not run.
 *
 *     node scripts/check-install.mjs [--keep]
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const SHARDS = 'shards/train-{000..001}.tar';
const TRAIN = ['train', '--preset', 'tiny', '--engine', 'wasm', '--shards', SHARDS, '--batch', '8', '--queue-size', '16', '--steps', '2'];
/** Without a tensor library. */
const PIPELINE = [
  ['synth', '--out', 'shards', '--count', '48', '--per-shard', '24', '--size', '48x48'],
  ['verify', '--shards', SHARDS],
  ['index', '--shards', SHARDS, '--out', 'indexes'],
  ['shard', 'shards/train-000.tar', '--out', 'again/train'],
  ['views', '--shards', SHARDS, '--out', 'views.png'],
  ['profile', '--shards', SHARDS, '--batch', '8', '--seconds', '2'],
];
const IMPORT = "import { createPipeline } from 'detco/pipeline'; console.log(typeof createPipeline);";
const REMEDY = 'npm install @tensorflow/tfjs-core@4 @tensorflow/tfjs-backend-wasm@4';

const { values } = parseArgs({ options: { keep: { type: 'boolean', default: false } } });
const work = mkdtempSync(join(tmpdir(), 'detco-install-'));
const packed = run(ROOT, 'npm', ['pack', '--json', '--pack-destination', work]);
const [{ filename, size, unpackedSize }] = JSON.parse(packed.stdout.slice(packed.stdout.indexOf('[')));
console.log(`${filename}: ${(size / 1e6).toFixed(2)} MB, unpacked ${(unpackedSize / 1e6).toFixed(2)} MB`);

const whole = install('whole', [], 140);
for (const args of PIPELINE) detco(whole, args);
detco(whole, TRAIN);

const alone = install('pipeline', ['--omit=peer'], 75);
for (const args of PIPELINE) detco(alone, args);
run(alone, process.execPath, ['--input-type=module', '--eval', IMPORT]);
detco(alone, TRAIN, { status: 2, says: REMEDY });
detco(alone, ['doctor'], { status: 1, says: REMEDY });
console.log('the pipeline alone names what training needs');

if (values.keep) console.log(`left in ${work}`);
else rmSync(work, { recursive: true });

/** @returns a folder with the package in its node_modules */
function install(name, flags, maxMb) {
  const folder = join(work, name);
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), '{ "private": true }');
  const { stderr } = run(folder, 'npm', ['install', ...flags, join(work, filename)]);
  if (stderr.includes('warn')) fail(`npm warns while it installs (${name}):\n${stderr}`);
  const mb = Number.parseInt(run(folder, 'du', ['-sm', 'node_modules']).stdout, 10);
  console.log(`${name}: ${mb} MB (npm install ${[...flags, filename].join(' ')}; du -sm node_modules)`);
  if (mb > maxMb) fail(`${name}: more than ${maxMb} MB; see what has grown with --keep and: du -m node_modules | sort -n | tail`);
  return folder;
}

function detco(folder, args, expected) {
  run(folder, 'npx', ['detco', ...args], expected);
}

function run(cwd, command, args, { status = 0, says = '' } = {}) {
  const done = spawnSync(command, args, { cwd, encoding: 'utf8' });
  const output = `${done.stdout}${done.stderr}`;
  if (done.status !== status || !output.includes(says)) {
    fail(`${[command, ...args].join(' ')} ended with ${done.status}, expected ${status}${says && ` and "${says}"`}:\n${output}`);
  }
  return done;
}

function fail(message) {
  console.error(`check-install: ${message}\nleft in ${work}`);
  process.exit(1);
}
