import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { fileProblem, folderProblem } from '#dist/pipeline/output-place.js';
import { mayMount, mountReadOnly, unmountDisk } from '../support/small-disk.js';

const linux = process.platform === 'linux' ? test : test.skip;

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-place-'));
});

afterEach(() => rm(folder, { recursive: true }));

describe('a place for files', () => {
  test.each(['.', 'new', 'new/er/est'])('%s is fine, and is left as it was', async (name) => {
    expect(await folderProblem(join(folder, name))).toBeUndefined();
    expect(await fileProblem(join(folder, name, 'file'))).toBeUndefined();
    expect(await readdir(folder)).toEqual([]);
  });

  test('within a file, or that is one', async () => {
    const file = join(folder, 'file');
    await writeFile(file, '');
    const problem = `expected a folder, and "${file}" is a file; choose another place`;
    expect(await folderProblem(file)).toBe(problem);
    expect(await folderProblem(join(file, 'a/b'))).toBe(problem);
    expect(await fileProblem(join(file, 'report.html'))).toBe(problem);
    expect(await fileProblem(file)).toBeUndefined();
  });

  test('that is a folder where a file is wanted', async () => {
    expect(await fileProblem(folder)).toBe('expected a file, and this is a folder; add a name');
    expect(await fileProblem(join(folder, 'new/'))).toBe('expected a file, and this is the name of a folder; add a name');
  });

  test('without a name', async () => {
    expect(await folderProblem('')).toBe('expected the name of a folder');
    expect(await fileProblem('')).toBe('expected the name of a file');
  });

  test('behind a link to nothing', async () => {
    const link = join(folder, 'link');
    await symlink(join(folder, 'gone'), link);
    expect(await folderProblem(join(link, 'run'))).toBe(`"${link}" is a link to nothing; remove it or choose another place`);
  });

  linux('of another user', async () => {
    const place = join(folder, 'theirs');
    await mkdir(place);
    await chmod(place, 0o555);
    await chmod(folder, 0o755);
    // Root may write anywhere, so it becomes nobody once all is loaded, which nobody might not be allowed to read.
    const asNobody = process.getuid?.() === 0 ? 'process.setgid(65534); process.setuid(65534);' : '';
    const module = pathToFileURL('dist/pipeline/output-place.js').href;
    const script = `import(${JSON.stringify(module)}).then(async ({ folderProblem }) => { ${asNobody} console.log(await folderProblem(${JSON.stringify(join(place, 'run'))})) })`;
    const answer = execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' });
    expect(answer).toBe(`this user may not write to "${place}"; choose another place\n`);
  });

  (mayMount() ? test : test.skip)('on a read-only file system', async () => {
    const place = join(folder, 'disk');
    await mkdir(place);
    mountReadOnly(place);
    try {
      const problem = `"${place}" is on a read-only file system; choose another place`;
      expect(await folderProblem(join(place, 'runs/one'))).toBe(problem);
      expect(await fileProblem(join(place, 'report.html'))).toBe(problem);
    } finally {
      unmountDisk(place);
    }
  });
});
