/** What the user is to know before the numbers of an evaluation are believed. */
import { counted } from '../common/counted.js';
import { type Guesses, KEPT } from './classification.js';

/** How many images of some shards were passed over. */
export function unlabelledNotes(shards: readonly string[], unlabelled: number): string[] {
  return unlabelled === 0
    ? []
    : [`left out of ${shards.join(', ')}: ${counted(unlabelled, 'image without a label')} (a number below 0 is none)`];
}

/** Of weights whose folder is no run: at which size they were trained nobody knows. */
export function sizeNotes(weights: string, globalSize: number): string[] {
  return [
    `${weights} does not say at what size it was trained: crops of ${globalSize} pixels are taken; compare with results of the same size, --global-size gives another`,
  ];
}

/** Validation images that cannot be judged right, for no training image is of their class. */
export function unseenNotes(trained: ReadonlySet<number>, labels: readonly number[]): string[] {
  const unseen = labels.filter((label) => !trained.has(label));
  if (unseen.length === 0) return [];
  const classes = [...new Set(unseen)].toSorted((a, b) => a - b);
  const named = `${classes.slice(0, 5).join(', ')}${classes.length > 5 ? ', ...' : ''}`;
  return [
    `${unseen.length} of ${counted(labels.length, 'validation image')} are of ${counted(classes.length, 'class')} that no training image is of (${named}): ` +
      'they count as wrong; check that both sets number their classes alike',
  ];
}

/**
 * What there is to say of top-5, where it is not the share of five guesses.
 *
 * @param voters neighbours of each image, of kNN
 */
export function topFiveNotes(guesses: Readonly<Record<string, Guesses>>, classes: number, voters = Infinity): string[] {
  if (classes <= KEPT) return [`top-5 is left out: of ${counted(classes, 'class')} it would always be right`];
  if (voters < KEPT) return [`top-5 is of the classes of ${counted(voters, 'neighbour')}: of ${voters} guesses at most`];
  return Object.entries(guesses).flatMap(([stage, of]) => {
    const few = of.fewerThan(KEPT);
    return few === 0
      ? []
      : [`${stage}: the neighbours of ${few} of ${counted(of.images, 'image')} are of fewer than five classes: top-5 has those alone`];
  });
}
