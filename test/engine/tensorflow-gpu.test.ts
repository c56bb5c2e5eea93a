/** A GPU on which TensorFlow ends its process, as one whose memory is taken: played by a binding that dies wherever GPUs may be seen. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { tfjsVersion } from '#dist/engine/tensorflow/npm-package.js';
import { writeTree } from '../support/tree.js';
import { hasTools } from './available.js';
import { compiledTensorFlow, nodePackage } from './libtensorflow.js';

const SOURCE = 'node_modules/@tensorflow/tfjs-node/binding/tfjs_binding.cc';
const DIES = `
#include <csignal>
#include <cstdlib>
#include <string>
static const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
static const int alive = visible != nullptr && std::string(visible) == "-1" ? 0 : std::raise(SIGSEGV);
`;
const script = (body: string): string[] => ['--input-type=module', '--eval', body];

const tools = hasTools('python3', 'c++');
(tools ? describe : describe.skip)(`a GPU that ends the process (needs python3 and c++)`, () => {
  let folder: string;
  let env: NodeJS.ProcessEnv;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'detco-gpu-test-'));
    const site = join(folder, 'site');
    await compiledTensorFlow(site, '2.99.0');
    const cuda = "build_info = collections.OrderedDict([('cuda_version', '12.5.1'), ('is_cuda_build', True)])";
    await writeTree(site, { 'tensorflow/python/platform/build_info.py': cuda });
    const files = nodePackage(tfjsVersion());
    const project = await writeTree(join(folder, 'project'), { ...files, [SOURCE]: `${DIES}${files[SOURCE]}` });
    env = { ...process.env, DETCO_TENSORFLOW_BUILD: join(folder, 'build'), PYTHONPATH: site };
    delete env['CUDA_VISIBLE_DEVICES'];
    const build = new URL('../../dist/engine/tensorflow/build.js', import.meta.url).href;
    const body = script(`import { buildTensorFlow } from '${build}'; await buildTensorFlow();`);
    execFileSync(process.execPath, body, { cwd: project, env: { ...env, CUDA_VISIBLE_DEVICES: '-1' }, stdio: 'pipe' });
  });
  afterAll(() => rm(folder, { recursive: true }));

  test.each(['auto', 'cuda'])('--device %s: an error says what to do', (device) => {
    const body = `
      import { selectEngine } from '#dist/engine/index.js';
      await selectEngine('tensorflow', { device: '${device}' }).catch(({ message }) => process.stdout.write(message));`;
    const { status, stdout } = spawnSync(process.execPath, script(body), { encoding: 'utf8', env });
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: `device "${device}": the GPU cannot be used: a process that loaded it ended with SIGSEGV. Is its memory taken? See nvidia-smi, free it, or use --device cpu`,
    });
  });
});
