/** What decodes baseline JPEGs: the decoder in `../jpeg`, or sharp, as all else. */
export const DECODERS = ['wasm', 'sharp'] as const;
export type Decoder = (typeof DECODERS)[number];
