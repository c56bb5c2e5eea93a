/** Parts of bench:quality, which are plain JavaScript. */
const folder = new URL('../../bench/quality/', import.meta.url);

/** A part by its name, such as `boxes`. */
export const load = async <Module>(name: string): Promise<Module> => (await import(new URL(`${name}.mjs`, folder).href)) as Module;

export interface Labelled {
  readonly label: number;
  /** Left, top, right, bottom. */
  readonly box: readonly [number, number, number, number];
}

export interface Difference {
  readonly mean: number;
  readonly interval: readonly [number, number];
}
