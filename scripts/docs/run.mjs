/** Runs the code blocks of one page, in their order, in a folder of the page's own that looks like a built clone. */
import { spawn } from 'node:child_process';
import { cp, mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { transform } from 'esbuild';
import { CODE } from './page.mjs';
import { mismatch, sessions } from './console.mjs';

/** One block may take so long. */
const LIMIT_MS = 300_000;
const TSCONFIG = {
  compilerOptions: {
    module: 'nodenext',
    target: 'es2022',
    lib: ['es2022', 'esnext.disposable'],
    types: ['node'],
    strict: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: true,
    noEmit: true,
  },
  include: ['blocks'],
};

/** What a block ended with that fails; its message says what it printed. */
export class BlockError extends Error {
  constructor({ page, line }, what, output) {
    super(`${page}:${line}: ${what}\n${output.trimEnd().replaceAll(/^/gm, '    ')}`);
  }
}

/**
 * A clone with `dist`, and node_modules whose entries are links: a block that installs there changes nothing here.
 *
 * @param {string[]} files what the clone holds
 */
export async function makeClone(root, folder, files) {
  const built = await readdir(join(root, 'dist'), { recursive: true, withFileTypes: true });
  const all = [...files, ...built.filter((one) => one.isFile()).map((one) => relative(root, join(one.parentPath, one.name)))];
  for (const parent of new Set(all.map((file) => dirname(file)))) await mkdir(join(folder, parent), { recursive: true });
  await Promise.all(all.map((file) => cp(join(root, file), join(folder, file), { verbatimSymlinks: true })));
  await linkEntries(join(root, 'node_modules'), join(folder, 'node_modules'));
}

/** A folder of a page's own: what its blocks write lies there, and what the clone holds is linked. */
export async function linkEntries(from, folder) {
  await mkdir(folder);
  for (const name of await readdir(from)) await symlink(join(from, name), join(folder, name));
}

/**
 * @param {import('./page.mjs').Block[]} blocks
 * @throws BlockError for the first that fails
 */
export async function runBlocks(blocks, folder) {
  await checkTypes(
    blocks.filter(({ language }) => language === 'ts'),
    folder,
  );
  for (const block of blocks) {
    const kind = CODE[block.language];
    if (kind === 'shell') await runShell(block, folder);
    if (kind === 'console') await runConsole(block, folder);
    if (kind === 'typescript' && block.typesOnly === undefined) await runTypeScript(block, folder);
    if (kind === 'yaml') await readConfig(block, folder);
  }
}

async function runShell(block, folder) {
  const { setup = '', text } = block;
  await succeed(block, folder, 'bash', ['-e', '-o', 'pipefail', '-c', `${setup}${withArguments(block, text)}`], text.trimEnd());
}

/** A command with what it is given beside what the page prints, so that it ends in seconds. */
function withArguments({ page, line, with: more }, text) {
  if (more === undefined) return text;
  const command = text.trimEnd();
  if (command.replaceAll('\\\n', '').includes('\n')) throw new BlockError({ page, line }, '"with" is for a block of one command', text);
  return command.includes(' #') ? command.replace(/ +#.*$/, ` ${more}`) : `${command} ${more}`;
}

async function runConsole(block, folder) {
  if (block.setup !== undefined) await succeed(block, folder, 'bash', ['-e', '-o', 'pipefail', '-c', block.setup], block.setup);
  for (const { command, expected } of sessions(block.text)) {
    const output = await succeed(block, folder, 'bash', ['-e', '-o', 'pipefail', '-c', command], command);
    const missing = mismatch(expected, output);
    if (missing !== undefined) throw new BlockError(block, `$ ${command}\nprints no line like "${missing}", but`, output);
  }
}

const fileOf = ({ page, line }) => `${page.replaceAll(/\W/g, '-')}-${line}`;
const source = ({ setup = '', text }) => `${setup}${text}\nexport {};\n`;

async function checkTypes(blocks, folder) {
  if (blocks.length === 0) return;
  await mkdir(join(folder, 'blocks'), { recursive: true });
  await writeFile(join(folder, 'tsconfig.blocks.json'), JSON.stringify(TSCONFIG));
  for (const block of blocks) await writeFile(join(folder, 'blocks', `${fileOf(block)}.ts`), source(block));
  const { code, output } = await run('node_modules/.bin/tsc', ['-p', 'tsconfig.blocks.json'], folder);
  if (code === 0) return;
  const failed = blocks.find((block) => output.includes(`${fileOf(block)}.ts`)) ?? blocks[0];
  const before = (failed.setup ?? '').split('\n').length - 1;
  const placed = output.replaceAll(
    /blocks\/[\w-]+\.ts\((\d+),/g,
    (_, line) => `${failed.page}:${failed.line + Number(line) - 1 - before}: (`,
  );
  throw new BlockError(failed, 'does not pass the type checker', placed);
}

async function runTypeScript(block, folder) {
  const { code } = await transform(source(block), { loader: 'ts', target: 'node20', format: 'esm' });
  await writeFile(join(folder, 'blocks', `${fileOf(block)}.mjs`), code);
  await succeed(block, folder, process.execPath, [join('blocks', `${fileOf(block)}.mjs`)], block.text.trimEnd());
}

/** As `detco train --config` reads it, with shards to train on. */
async function readConfig(block, folder) {
  const file = `${fileOf(block)}.yaml`;
  await writeFile(join(folder, file), block.text);
  const { readConfigFile, resolveConfig } = await import(join(folder, 'dist/train/index.js'));
  try {
    resolveConfig({ shards: ['fixtures/shards/train-000.tar'] }, await readConfigFile(join(folder, file)), file);
  } catch (error) {
    throw new BlockError(block, 'is no config file of detco train', error.message);
  }
}

/** @returns what it printed */
async function succeed(block, folder, command, args, shown) {
  const { code, output } = await run(command, args, folder);
  if (code !== 0) throw new BlockError(block, `ended with ${code}, expected 0:\n${shown}\nprinted`, output);
  return output;
}

function run(command, args, cwd) {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, NO_COLOR: '1', npm_config_update_notifier: 'false' };
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: LIMIT_MS });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code: code ?? `${signal} (a block has ${LIMIT_MS / 1000} s)`, output }));
  });
}
