/** Watches the spread of the queries: an encoder that maps everything to one point has a low loss nowhere and learns nothing. */

/** Share of 1/sqrt(dimensions), the spread of unit vectors that fill the sphere, below which features count as collapsed. */
const COLLAPSED_SHARE = 0.05;
/** Updates in a row: an untrained network starts with a low spread that grows within a few. */
const PATIENCE = 50;

/** Warns once, when `featureStd` has stayed near 0 (SimSiam, section 4.1, measures collapse so). */
export class CollapseWatch {
  readonly #threshold: number;
  readonly #spread: number;
  #inARow = 0;
  #warned = false;

  /** @param dimensions of the embeddings */
  constructor(dimensions: number) {
    this.#spread = 1 / Math.sqrt(dimensions);
    this.#threshold = COLLAPSED_SHARE * this.#spread;
  }

  /** @returns a warning for people, the first time there is reason for one */
  observe({ step, featureStd }: { readonly step: number; readonly featureStd: number }): string | undefined {
    this.#inARow = featureStd < this.#threshold ? this.#inARow + 1 : 0;
    if (this.#inARow < PATIENCE || this.#warned) return undefined;
    this.#warned = true;
    return (
      `Features have collapsed: featureStd is ${featureStd.toPrecision(2)} at step ${step}, where ${this.#spread.toPrecision(2)} means spread ` +
      `and 0 one point; ${PATIENCE} steps in a row were below ${this.#threshold.toPrecision(2)}. Lower the learning rate (--lr); docs/methods.md says what keeps the method from it.`
    );
  }
}
