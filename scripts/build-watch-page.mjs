/** Bundles the page of `detco watch`, with all that it needs -> dist/watch/page/: a browser that shows it asks nobody else. */
import { copyFile, mkdir } from 'node:fs/promises';
import { build } from 'esbuild';

const FROM = 'src/watch/page';
const TO = 'dist/watch/page';

await mkdir(TO, { recursive: true });
const shared = { bundle: true, minify: true, target: ['chrome111', 'firefox113', 'safari16.2'], legalComments: 'eof', logLevel: 'warning' };
await build({ ...shared, entryPoints: [`${FROM}/main.ts`], outfile: `${TO}/main.js`, format: 'esm', tsconfig: `${FROM}/tsconfig.json` });
await build({ ...shared, entryPoints: [`${FROM}/style/main.css`], outfile: `${TO}/main.css` });
for (const file of ['index.html', 'icon.svg']) await copyFile(`${FROM}/${file}`, `${TO}/${file}`);
