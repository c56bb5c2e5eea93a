/** How large a comparison is, and what of it can be varied. */

/** Sizes that two cores do in half an hour. Sides in pixels; learning rates are at batch 256, as in all of detco. */
export const FULL = Object.freeze({
  images: { train: 20_000, search: 2000, test: 2000 },
  photo: false,
  side: 64,
  globalSize: 48,
  patchSize: 24,
  /** Of the images that are evaluated: what a view of `globalSize` is to its crop of the picture, about. */
  evaluationSize: 64,
  batch: 32,
  updates: 300,
  searchUpdates: 200,
  /** From low to high. Where the best of an arm is the first or the last, the next beyond it is tried too, so often at most. */
  rates: [0.08, 0.24, 0.72],
  widenings: 2,
  /** Training images with labels for kNN and the linear classifier, and those with boxes for the probes of cells. */
  labelled: 2000,
  boxed: 1000,
  linearEpochs: 30,
  cellEpochs: 10,
  detectorEpochs: 12,
});

/** The same in two or three minutes: it shows that all of it runs, not what is better. One rate needs no search. */
export const QUICK = Object.freeze({
  ...FULL,
  images: { train: 1500, search: 50, test: 300 },
  updates: 40,
  searchUpdates: 20,
  rates: [0.24],
  labelled: 600,
  boxed: 300,
  linearEpochs: 10,
  cellEpochs: 4,
  detectorEpochs: 4,
});
