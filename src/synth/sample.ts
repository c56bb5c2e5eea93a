/** One image of a set -> the three members of its sample: KEY.jpg, KEY.cls, KEY.json. */
import sharp from 'sharp';
import type { ShardMember } from '../pipeline/shard/write.js';
import { render, type Box } from './render.js';
import { drawScene, type SceneOptions } from './scene.js';

export interface SampleOptions extends SceneOptions {
  /** JPEG quality, 1..100. */
  readonly quality: number;
}

/** What `KEY.json` holds. Lengths are pixels, angles and hues turns (0..1). */
export interface SampleRecord {
  readonly label: number;
  readonly class: string;
  readonly width: number;
  readonly height: number;
  /** The object's; its label is the image's. */
  readonly boxes: readonly (Box & { readonly label: number })[];
  /** What varies whatever the class is. */
  readonly factors: {
    readonly radius: number;
    readonly angle: number;
    readonly hue: number;
    readonly backgroundHue: number;
    readonly light: number;
    readonly exposure: number;
  };
}

/** Keys have six digits, so that they sort as they were made up to a million. */
export async function makeSample(options: SampleOptions, index: number): Promise<ShardMember[]> {
  const scene = drawScene(options, index);
  const { width, height, data, box } = render(scene);
  const jpeg = await sharp(data, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: options.quality })
    .toBuffer();
  const { label, name } = scene.class;
  const turns = (radians: number): number => round(radians / (2 * Math.PI));
  const record: SampleRecord = {
    label,
    class: name,
    width,
    height,
    boxes: [{ ...box, label }],
    factors: {
      radius: round(scene.object.radius),
      angle: turns(scene.object.angle),
      hue: round(scene.object.hue),
      backgroundHue: round(scene.background.hue),
      light: turns(scene.light.azimuth),
      exposure: round(scene.light.gain[1]),
    },
  };
  const key = String(index).padStart(6, '0');
  return [
    { name: `${key}.jpg`, data: jpeg },
    { name: `${key}.cls`, data: Buffer.from(String(label)) },
    { name: `${key}.json`, data: Buffer.from(JSON.stringify(record)) },
  ];
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
