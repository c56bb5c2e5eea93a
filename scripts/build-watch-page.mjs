/** Bundles the page of `detco watch`, with all that it needs -> dist/watch/page/: a browser that shows it asks nobody else. */
import { copyFile, mkdir, readFile } from 'node:fs/promises';
import { build } from 'esbuild';

const FROM = 'src/watch/page';
const TO = 'dist/watch/page';

// The licence of what the bundles hold of others asks for it.
const notice = `/*! uPlot\n\n${await readFile('node_modules/uplot/LICENSE', 'utf8')}*/`;

await mkdir(TO, { recursive: true });
const shared = {
  banner: { js: notice, css: notice },
  bundle: true,
  minify: true,
  target: ['chrome111', 'firefox113', 'safari16.2'],
  legalComments: 'eof',
  logLevel: 'warning',
};
await build({ ...shared, entryPoints: [`${FROM}/main.ts`], outfile: `${TO}/main.js`, format: 'esm', tsconfig: `${FROM}/tsconfig.json` });
await build({ ...shared, entryPoints: [`${FROM}/style/main.css`], outfile: `${TO}/main.css` });
for (const file of ['index.html', 'icon.svg']) await copyFile(`${FROM}/${file}`, `${TO}/${file}`);
