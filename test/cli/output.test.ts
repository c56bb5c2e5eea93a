/** Results of commands: an earlier one is there until the next is whole, and what is no file is written to as it is. */
import { execFileSync } from 'node:child_process';
import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { writeOutput } from '#dist/cli/output.js';
import { fileProblem } from '#dist/pipeline/output-place.js';
import { mayMount, mountDisk, unmountDisk } from '../support/small-disk.js';
import { job } from './detco.js';

const linux = process.platform === 'linux' ? test : test.skip;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-output-'));
});
afterEach(() => rm(folder, { recursive: true }));

test('a result takes the place of an earlier one, and its folder is made', async () => {
  const path = join(folder, 'made/by/result.html');
  for (const text of ['the first, which is longer', 'the second']) {
    await writeOutput(path, text);
    expect(await readFile(path, 'utf8')).toBe(text);
  }
  expect(await readdir(join(folder, 'made/by'))).toEqual(['result.html']);
});

test.each(['there', 'not there'])('a link to a file that is %s stays, and the file is written', async (is) => {
  await mkdir(join(folder, 'results'));
  const [link, target] = [join(folder, 'latest.html'), join(folder, 'results/1.html')];
  if (is === 'there') await writeFile(target, 'earlier');
  await symlink('results/1.html', link);
  expect(await fileProblem(link)).toBeUndefined();
  await writeOutput(link, 'later');
  expect(await readlink(link)).toBe('results/1.html');
  expect(await readFile(target, 'utf8')).toBe('later');
  expect(await readdir(join(folder, 'results'))).toEqual(['1.html']);
});

linux('a device is written to and stays, also where it takes nothing', async () => {
  // By links: whoever removes what they lead to removes a link.
  for (const name of ['null', 'full']) await symlink(`/dev/${name}`, join(folder, name));
  await writeOutput(join(folder, 'null'), 'gone');
  await expect(writeOutput(join(folder, 'full'), 'too much')).rejects.toThrow(`"${join(folder, 'full')}" could not be written: the disk`);
  for (const name of ['null', 'full']) expect(await readlink(join(folder, name))).toBe(`/dev/${name}`);
  expect((await lstat('/dev/full')).isCharacterDevice()).toBe(true);
});

linux('a pipe is written to and stays', async () => {
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  const [text] = await Promise.all([readFile(pipe, 'utf8'), writeOutput(pipe, 'through it')]);
  expect(text).toBe('through it');
  expect((await lstat(pipe)).isFIFO()).toBe(true);
});

linux('standard output that a shell sends to a file is written to, and is no other file afterwards', async () => {
  const path = join(folder, 'out.html');
  const script = `import { writeOutput } from './dist/cli/output.js'; await writeOutput('/dev/stdout', 'a page')`;
  execFileSync('sh', ['-c', 'exec "$0" --input-type=module -e "$1" >> "$2"', process.execPath, script, path]);
  expect(await readFile(path, 'utf8')).toBe('a page');
  expect(await readdir(folder)).toEqual(['out.html']);
});

(mayMount() ? test : test.skip)('on a disk that is full the earlier result is as it was', async () => {
  mountDisk(folder, '16k');
  try {
    const path = join(folder, 'trace.json');
    await writeFile(path, 'earlier');
    await expect(writeOutput(path, 'x'.repeat(40_000))).rejects.toThrow(
      `"${path}" could not be written: the disk of "${path}" is full; free some space`,
    );
    expect(await readFile(path, 'utf8')).toBe('earlier');
    expect(await readdir(folder)).toEqual(['trace.json']);
  } finally {
    unmountDisk(folder);
  }
});

linux('under a limit on the size of files the earlier picture is as it was', async () => {
  const path = join(folder, 'views.png');
  const earlier = Buffer.concat([Buffer.from([0x89]), Buffer.from('PNG\r\n\u001A\nearlier')]);
  await writeFile(path, earlier);
  const views = `views --shards fixtures/shards/val-000.tar --n 16 --out "$1"`;
  const outcome = await job(['bash', '-c', `ulimit -f 4 && exec "$0" bin/detco.cjs ${views}`, process.execPath, path]);
  expect(outcome).toMatchObject({ code: 1, stderr: expect.stringContaining(`"${path}" could not be written: files of this size are not`) });
  expect((await readFile(path)).equals(earlier)).toBe(true);
  expect(await readdir(folder)).toEqual(['views.png']);
});
