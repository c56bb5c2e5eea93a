/** How widely everything varies that the class has no part in. */

type Range = readonly [low: number, high: number];

/** Lightness (0..1) and chroma are OKLCh's; shares are of 1. */
export interface Variety {
  readonly tones: { readonly light: Range; readonly dark: Range; readonly chroma: Range; readonly gloss: Range };
  /** `contrast`: lightness between its two colours, at most; `horizon`: how often it has one. */
  readonly background: { readonly lightness: Range; readonly contrast: number; readonly chroma: Range; readonly horizon: number };
  readonly distractors: { readonly count: Range; readonly lightness: Range; readonly chroma: Range };
  /** `exposure` in natural logarithms; `warmth`: share of red gained and of blue lost, or the other way round. */
  readonly light: { readonly exposure: Range; readonly warmth: number; readonly falloff: Range; readonly vignette: Range };
  /** `noise` in sRGB levels. */
  readonly detail: { readonly grain: Range; readonly noise: Range };
}

/** Photographs: each differs from the next by its colours and its light first of all, and is busy to the pixel. */
export const VIVID: Variety = {
  tones: { light: [0.66, 0.95], dark: [0.18, 0.42], chroma: [0.01, 0.09], gloss: [0, 0.35] },
  background: { lightness: [0.3, 0.85], contrast: 0.22, chroma: [0, 0.07], horizon: 0.4 },
  distractors: { count: [5, 14], lightness: [0.2, 0.92], chroma: [0, 0.1] },
  light: { exposure: [-0.45, 0.3], warmth: 0.1, falloff: [0, 0.5], vignette: [0, 0.45] },
  detail: { grain: [0.35, 1.3], noise: [2.5, 9] },
};

/**
 * Small pictures, to learn from in minutes. Contrastive learning keeps whatever tells two pictures apart, and where
 * colours are vivid it is those: the loss falls and the classes come no closer together. Muted colours leave it the
 * shape and the texture.
 */
export const MUTED: Variety = {
  tones: { light: [0.68, 0.95], dark: [0.15, 0.42], chroma: [0.003, 0.016], gloss: [0, 0.2] },
  background: { lightness: [0.4, 0.74], contrast: 0.14, chroma: [0, 0.009], horizon: 0.15 },
  distractors: { count: [0, 3], lightness: [0.4, 0.78], chroma: [0, 0.02] },
  light: { exposure: [-0.25, 0.2], warmth: 0.02, falloff: [0, 0.3], vignette: [0, 0.25] },
  detail: { grain: [0.05, 0.15], noise: [0.5, 2] },
};
