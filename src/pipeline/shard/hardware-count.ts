/** How many images the JPEG decoders in the hardware of GPUs take, and what the others are. */
import { counted } from '../../common/counted.js';
import { hardwareVerdict, type HardwareRefusal } from '../jpeg/hardware.js';

export type HardwareKind = 'taken' | HardwareRefusal;

export interface HardwareSummary {
  readonly images: number;
  readonly taken: number;
  /** Images by what they are, the most first. */
  readonly refused: Readonly<Partial<Record<HardwareRefusal, number>>>;
}

/** Kept for each sample, so a word and not the header. */
export function hardwareKind(image: Uint8Array): HardwareKind {
  const verdict = hardwareVerdict(image);
  return verdict.takes ? 'taken' : verdict.refusal;
}

export class HardwareCount {
  #taken = 0;
  readonly #refused = new Map<HardwareRefusal, number>();

  add(kind: HardwareKind): void {
    if (kind === 'taken') this.#taken++;
    else this.#refused.set(kind, (this.#refused.get(kind) ?? 0) + 1);
  }

  summary(): HardwareSummary {
    const refused = [...this.#refused].toSorted(([, a], [, b]) => b - a);
    const images = refused.reduce((sum, [, count]) => sum + count, this.#taken);
    return { images, taken: this.#taken, refused: Object.fromEntries(refused) };
  }
}

/** A line; nothing to say of no image. */
export function hardwareInWords({ images, taken, refused }: HardwareSummary): string[] {
  if (images === 0) return [];
  const others = Object.entries(refused).map(([refusal, count]) => `${count} ${refusal}`);
  const share = `${taken} of ${counted(images, 'image')}`;
  return [`JPEGs that hardware decoders of GPUs take, by their headers: ${[share, ...others].join('; ')}`];
}
