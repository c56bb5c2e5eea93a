/** Pages in a real browser, and servers that live as long as a test. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { type Browser, chromium as driver, type Page } from 'playwright-core';
import { chromium } from '../support/chromium.js';

export const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

/** Also while the machine does much else. */
const PATIENCE_MS = 60_000;

export function launch(): Promise<Browser> {
  const executablePath = execFileSync('sh', ['-c', 'command -v "$0"', chromium ?? ''], { encoding: 'utf8' }).trim();
  // Without user namespaces, as in most containers, the sandbox does not start.
  return driver.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
}

export interface Opened {
  readonly page: Page;
  /** What went wrong in the page, and addresses of others that it asked. */
  readonly faults: readonly string[];
}

export async function open(
  browser: Browser,
  url: string,
  {
    width = 1280,
    height = 900,
    colorScheme = 'light',
  }: { readonly width?: number; readonly height?: number; readonly colorScheme?: 'light' | 'dark' } = {},
): Promise<Opened> {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('pageerror', ({ message }) => faults.push(message));
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== new URL(url).origin) faults.push(request.url());
  });
  await page.goto(url);
  return { page, faults };
}

export interface Command {
  readonly child: ChildProcess;
  /** The first address that it printed. */
  readonly url: string;
}

/** Starts `detco` and resolves when it has printed an address of a page. */
export async function startDetco(args: readonly string[]): Promise<Command> {
  const child = spawn(process.execPath, ['bin/detco.cjs', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  const url = new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr])
      createInterface({ input: stream }).on('line', (line) => {
        printed += `${line}\n`;
        const found = /http:\/\/\S+/.exec(line)?.[0];
        if (found !== undefined) resolve(found);
      });
    child.on('exit', () => reject(new Error(`detco ${args.join(' ')} ended without an address: ${printed}`)));
  });
  return { child, url: await url };
}

export async function kill({ child }: Command, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill(signal);
  await ended;
}
