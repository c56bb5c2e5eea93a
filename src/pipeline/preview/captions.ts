/** What was drawn of a picture, in words that fit below it. */
import type { JigsawPlan, Step } from '../augment/parameters.js';
import { counted } from '../../common/counted.js';
import type { DrawnPicture } from '../batch/plans.js';
import { ADVANCE } from './font.js';

/** Names that are longer than what is said for them. */
const SHORT: Readonly<Partial<Record<Step['op'], string>>> = { gaussianBlur: 'blur', horizontalFlip: 'flip' };

/** The parameter of an operation, with its unit where it has one; nothing for an operation that has none. */
export function stepValue(step: Step): string {
  switch (step.op) {
    case 'brightness':
    case 'contrast':
    case 'saturation':
    case 'sharpness':
      return step.factor.toFixed(2);
    case 'hue':
      return signed(step.shift, 2);
    case 'gaussianBlur':
      return `${step.sigma.toFixed(2)} px`;
    case 'rotate':
      return `${signed(step.degrees, 1)} deg`;
    case 'posterize':
      return counted(step.bits, 'bit');
    case 'solarize':
      return String(step.threshold);
    case 'solarizeAdd':
      return String(step.add);
    case 'shearX':
    case 'shearY':
      return signed(step.shear, 2);
    case 'mask':
      return `${step.width}x${step.height} at ${step.left},${step.top}`;
    case 'translateX':
    case 'translateY':
      return signed(step.fraction, 2);
    case 'grayscale':
    case 'horizontalFlip':
    case 'autoContrast':
    case 'equalize':
    case 'invert':
    case 'lab':
      return '';
  }
}

function stepWords(step: Step): string {
  return `${SHORT[step.op] ?? step.op} ${stepValue(step)}`.trimEnd();
}

function signed(value: number, digits: number): string {
  const text = value.toFixed(digits);
  if (Number(text) === 0) return text.replace('-', '');
  return value > 0 ? `+${text}` : text;
}

/** The crop, in pixels of the image, where it was put, in pixels of the picture, and then all operations in the order in which they were applied. */
export function pictureWords({ box, placed, steps }: Pick<DrawnPicture, 'box' | 'placed' | 'steps'>): string[] {
  return [`crop ${boxWords(box)}`, ...(placed ? [`put ${boxWords(placed)}`] : []), ...steps.map(stepWords)];
}

function boxWords(box: DrawnPicture['box']): string {
  const [left, top, width, height] = [box.left, box.top, box.width, box.height].map(Math.round);
  return `${width}x${height} at ${left},${top}`;
}

/** Of the patch that is shown at `place`: the cell it was cut from, row by row from 0, and where in the cell it begins, pixels. */
export function patchWords({ order, offsets }: JigsawPlan, place: number): string[] {
  const cell = order[place] ?? 0;
  const [x, y] = offsets[cell] ?? [0, 0];
  return [`${cell} at ${x},${y}`];
}

const BETWEEN = '  ';

/** Sets words in lines of at most `width` pixels. One that is longer than a line is torn at its spaces, or else where the line ends. */
export function lines(words: readonly string[], width: number): string[] {
  const most = Math.max(1, Math.floor((width + 1) / ADVANCE));
  const set: string[] = [];
  for (const word of words.flatMap((one) => pieces(one, most))) {
    const last = set.at(-1);
    if (last !== undefined && last.length + BETWEEN.length + word.length <= most) set[set.length - 1] = last + BETWEEN + word;
    else set.push(word);
  }
  return set;
}

function pieces(word: string, most: number): string[] {
  if (word.length <= most) return [word];
  const torn = new RegExp(`.{1,${most}}(?= |$)|.{1,${most}}`, 'g');
  return [...word.matchAll(torn)].map(([piece]) => piece.trim());
}

/** A name of others: its beginning and its end where it is longer than `width` pixels. */
export function shortened(name: string, width: number): string {
  const most = Math.max(5, Math.floor((width + 1) / ADVANCE));
  const characters = [...name];
  if (characters.length <= most) return name;
  const tail = Math.floor((most - 3) / 2);
  return `${characters.slice(0, most - 3 - tail).join('')}...${characters.slice(characters.length - tail).join('')}`;
}
