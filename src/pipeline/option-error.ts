/** An option of `createPipeline` that cannot be used. A command that has a flag for it says that instead of its name. */
export class PipelineOptionError extends RangeError {
  constructor(
    /** Its name, `recipe.globalSize` for one inside another. */
    readonly option: string,
    /** The value, what was expected and what to do. */
    readonly problem: string,
    options?: ErrorOptions,
  ) {
    super(`Pipeline option ${option}: ${problem}`, options);
  }
}
