/** Takes the pictures of docs/watch.md: `node scripts/watch-pictures.mjs FOLDER_OF_RUNS`, with a Chromium in PATH or in CHROME. */
import { execFileSync } from 'node:child_process';
import { chromium } from 'playwright-core';
import { serveWatch } from '../dist/watch/server.js';

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error('expected a folder of runs; give for example runs');
const executablePath = execFileSync('sh', ['-c', 'command -v "${CHROME:-chromium}"'], { encoding: 'utf8' }).trim();

/** The page as a window of this size shows it, once all runs are drawn. */
async function take(browser, url, { file, width, height, colorScheme }) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme });
  const page = await context.newPage();
  await page.goto(url);
  await page.getByRole('slider', { name: 'Loss', exact: true }).waitFor();
  await page.getByLabel('Smoothing').fill('0.6');
  await page.evaluate('document.activeElement.blur()');
  await page.getByText('Connected', { exact: true }).waitFor();
  await page.waitForTimeout(2000);
  await page.screenshot({ path: file });
  await context.close();
}

const server = await serveWatch({ folders: [folder], port: 0 });
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
try {
  await take(browser, server.url, { file: 'docs/watch.png', width: 1280, height: 860, colorScheme: 'light' });
  await take(browser, server.url, { file: 'docs/watch-phone.png', width: 400, height: 860, colorScheme: 'dark' });
} finally {
  await browser.close();
  await server.close();
}
