/** Small sets in the forms that people have: a white object on black, 40x32 pixels, at 8..20 x 4..28. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import sharp from 'sharp';

const WIDTH = 40;
const HEIGHT = 32;
export const BOX = { left: 8, top: 4, right: 20, bottom: 28 };

async function put(path: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
}

async function picture(path: string): Promise<void> {
  const { left, top, right, bottom } = BOX;
  const object = { create: { width: right - left, height: bottom - top, channels: 3 as const, background: 'white' } };
  const png = await sharp({ create: { width: WIDTH, height: HEIGHT, channels: 3, background: 'black' } })
    .composite([{ input: await sharp(object).png().toBuffer(), left, top }])
    .png()
    .toBuffer();
  await put(path, png);
}

/** An object as VOC has it, pixels from 1 and the last one included; its parts have boxes too. */
function vocObject(name: string, difficult: 0 | 1): string {
  const { left, top, right, bottom } = BOX;
  const box = (l: number, t: number, r: number, b: number): string =>
    `<bndbox><xmin>${l}</xmin><ymin>${t}</ymin><xmax>${r}</xmax><ymax>${b}</ymax></bndbox>`;
  const part = `<part><name>head</name>${box(left + 1, top + 1, left + 3, top + 3)}</part>`;
  return `<object><name>${name}</name><difficult>${difficult}</difficult>${part}${box(left + 1, top + 1, right, bottom)}</object>`;
}

/** VOC2007 with two pictures to train on and two to test on, VOC2012 with one to train on and a `test` without annotations. */
export async function makeVoc(root: string): Promise<void> {
  const size = `<size><width>${WIDTH}</width><height>${HEIGHT}</height><depth>3</depth></size>`;
  const years = { VOC2007: { trainval: ['000001', '000002'], test: ['000003', '000004'] }, VOC2012: { trainval: ['2012_01'], test: [] } };
  for (const [year, { trainval, test }] of Object.entries(years)) {
    const sets = join(root, year, 'ImageSets/Main');
    await put(join(sets, 'trainval.txt'), trainval.map((id) => `${id}\n`).join(''));
    await put(join(sets, 'test.txt'), test.length === 0 ? 'unknown\n' : test.map((id) => `${id}\n`).join(''));
    for (const id of [...trainval, ...test]) {
      const objects = vocObject(id === '000002' ? 'cat' : 'dog', 0) + (test.at(-1) === id ? vocObject('cat', 1) : '');
      await put(join(root, year, 'Annotations', `${id}.xml`), `<annotation><filename>${id}.png</filename>${size}${objects}</annotation>`);
      await picture(join(root, year, 'JPEGImages', `${id}.png`));
    }
  }
}

/**
 * Categories 7 and 44. Ten pictures to train on, the last without a box; three to test on, one of them without.
 * Annotations count from 0 and have no area, as many converters write them.
 */
export async function makeCoco(root: string): Promise<void> {
  const { left, top, right, bottom } = BOX;
  const categories = [
    { id: 7, name: 'train' },
    { id: 44, name: 'bottle' },
  ];
  for (const [part, count] of Object.entries({ train2017: 10, val2017: 3 })) {
    const images = Array.from({ length: count }, (_, i) => ({ id: 100 + i, file_name: `${i}.png`, width: WIDTH, height: HEIGHT }));
    const annotations = images.slice(0, -1).map(({ id }, i) => ({
      id: i,
      image_id: id,
      category_id: i % 2 ? 7 : 44,
      bbox: [left, top, right - left, bottom - top],
      iscrowd: 0,
    }));
    await put(join(root, `annotations/instances_${part}.json`), JSON.stringify({ images, annotations, categories }));
    for (const { file_name: name } of images) await picture(join(root, part, name));
  }
}
