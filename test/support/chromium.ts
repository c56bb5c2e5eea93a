/** A browser that is on the machine, to look at HTML with. */
import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';

/** `$CHROME` or what is found in PATH; undefined when there is none. */
export const chromium: string | undefined = [process.env['CHROME'], 'chromium', 'chromium-browser', 'google-chrome'].find(
  (name) => name !== undefined && spawnSync(name, ['--version']).status === 0,
);

/** Loads a page without a window, at 1024 x 768 pixels, and @returns the document as its scripts left it. */
export async function dumpDom(url: string, profileDir: string, flags: readonly string[] = []): Promise<string> {
  if (chromium === undefined) throw new Error('no Chromium on this machine');
  const { stdout } = await promisify(execFile)(
    chromium,
    [
      '--headless',
      // Without user namespaces, as in most containers, the sandbox does not start.
      '--no-sandbox',
      '--disable-gpu',
      '--window-size=1024,768',
      `--user-data-dir=${profileDir}`,
      ...flags,
      '--dump-dom',
      url,
    ],
    { maxBuffer: 64 << 20 },
  );
  return stdout;
}
