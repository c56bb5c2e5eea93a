/** Where NVIDIA's JPEG library is: the addon opens it when it is asked to decode, and is built without it. */
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';

export const NVJPEG_REMEDY =
  'python3 -m pip install nvidia-nvjpeg beside torch (with CUDA 12 nvidia-nvjpeg-cu12), or name a CUDA toolkit by CUDA_HOME';

/**
 * Beside pip's torch a wheel of its own has it, or torchvision's; else a toolkit.
 *
 * @param root of LibTorch: its folder in site-packages
 */
export function findNvjpeg(root: string, env: NodeJS.ProcessEnv = process.env): string | undefined {
  const packages = dirname(root);
  const wheels = foldersIn(join(packages, 'nvidia')).map((part) => join(part, 'lib'));
  const homes = [env['CUDA_HOME'], env['CUDA_PATH'], '/usr/local/cuda'].flatMap((home) => (home ? [join(home, 'lib64')] : []));
  const folders = [
    ...wheels,
    join(packages, 'torchvision.libs'),
    ...homes,
    `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`,
  ];
  for (const folder of folders) {
    // torchvision's has a digest in its name.
    const name = existsSync(folder)
      ? readdirSync(folder)
          .toSorted()
          .findLast((file) => /^libnvjpeg(\.[0-9a-f]+)?\.so(\.\d+)*$/.test(file))
      : undefined;
    if (name !== undefined) return join(folder, name);
  }
  return undefined;
}

function foldersIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
}
