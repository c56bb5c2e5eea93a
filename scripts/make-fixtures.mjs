/**
 * Makes fixtures/shards and fixtures/odd again, byte for byte; run `npm run build` first. The shards are what these
 * commands write:
 *
 *     detco synth --out fixtures/shards --prefix train --count 1248 --per-shard 312 --size 96x96 --quality 75 --seed 1
 *     detco synth --out fixtures/shards --prefix val --count 432 --per-shard 432 --size 96x96 --quality 75 --seed 2
 *
 * 96 pixels at quality 75 is 1.4 KB a picture; the tar blocks of its three members are 2.8 KB more.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import sharp from 'sharp';
import { pack } from 'tar-stream';
import { synthCommand } from '../dist/cli/synth.js';
import { render } from '../dist/synth/render.js';
import { drawScene } from '../dist/synth/scene.js';

const SHARDS = 'fixtures/shards';
const ODD = 'fixtures/odd';

const COMMON = ['--out', SHARDS, '--size', '96x96', '--quality', '75'];
await rm(SHARDS, { recursive: true, force: true });
await synthCommand().parseAsync([...COMMON, '--prefix', 'train', '--count', '1248', '--per-shard', '312', '--seed', '1'], { from: 'user' });
await synthCommand().parseAsync([...COMMON, '--prefix', 'val', '--count', '432', '--per-shard', '432', '--seed', '2'], { from: 'user' });

await rm(ODD, { recursive: true, force: true });
await mkdir(`${ODD}/files`, { recursive: true });

const plain = (index) => picture(index, 64, 48).jpeg({ quality: 75 }).toBuffer();
const truncated = await plain(8);

/** Name -> bytes, in the order of the shard. The first and the last are ordinary. */
const files = {
  'a-plain.jpg': await plain(0),
  'b-gray.jpg': await picture(1, 64, 48).toColourspace('b-w').jpeg({ quality: 75 }).toBuffer(),
  'c-cmyk.jpg': await picture(2, 64, 48).toColourspace('cmyk').jpeg({ quality: 75 }).toBuffer(),
  'd-progressive.jpg': await picture(3, 64, 48).jpeg({ quality: 75, progressive: true }).toBuffer(),
  'e-exif-rotated.jpg': await picture(4, 64, 48).withMetadata({ orientation: 6 }).jpeg({ quality: 75 }).toBuffer(),
  'f-png.JPEG': await picture(5, 48, 32).png({ compressionLevel: 9 }).toBuffer(),
  'g-one-pixel-wide.jpg': await picture(6, 64, 64).extract({ left: 32, top: 0, width: 1, height: 64 }).jpeg({ quality: 75 }).toBuffer(),
  'h-truncated.jpg': truncated.subarray(0, Math.floor(truncated.length / 2)),
  'i-empty.jpg': Buffer.alloc(0),
  'j-text.jpg': Buffer.from('This is a line of text that was given the name of a picture.\n'),
};
for (const [name, data] of Object.entries(files)) await writeFile(`${ODD}/files/${name}`, data);

const last = await plain(9);
await writeFile(
  `${ODD}/odd.tar`,
  await tar({
    ...files,
    // More than the 100 bytes of a tar header: the name goes into a PAX record.
    [`k-${'long-name-'.repeat(12)}.jpg`]: await plain(7),
    'README.txt': Buffer.from('A member that is not a picture.\n'),
    'l-plain.jpg': last,
  }),
);

const whole = await tar({
  'a.jpg': await plain(10),
  'b.jpg': await plain(11),
  'c.jpg': await plain(12),
});
// Into the second picture: past its header (512 bytes after the first member) and a few hundred bytes of its data.
const second = 512 + Math.ceil((await plain(10)).length / 512) * 512;
await writeFile(`${ODD}/cut.tar`, whole.subarray(0, second + 512 + 300));
await writeFile(`${ODD}/not-a-tar.tar`, 'This file has the name of a tar and is none.\n'.repeat(40));

const numbers = [18, 36, 10026, 10027, 10029, 10040];
await writeFile(
  `${ODD}/n01440764.tar`,
  await tar(Object.fromEntries(await Promise.all(numbers.map(async (n, i) => [`n01440764_${n}.JPEG`, await plain(20 + i)])))),
);

/** A scene as a sharp pipeline. */
function picture(index, width, height) {
  const { data } = render(drawScene({ seed: 3, size: [width, height], photo: false }, index));
  return sharp(data, { raw: { width, height, channels: 3 } });
}

function tar(members) {
  const out = pack();
  for (const [name, data] of Object.entries(members)) out.entry({ name, mtime: new Date(0) }, data);
  out.finalize();
  return buffer(out);
}
