/** Options as objects. */

export type Options = Readonly<Record<string, unknown>>;

export function isOptions(value: unknown): value is Options {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The options of these names that have a value: none is there and undefined. */
export function given<Options extends object, Name extends keyof Options>(
  options: Options,
  names: Iterable<Name>,
): Given<Pick<Options, Name>> {
  const found = [...names].flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]] as const]));
  return Object.fromEntries(found) as Given<Pick<Options, Name>>;
}

export type Given<Options> = { readonly [Name in keyof Options]: Exclude<Options[Name], undefined> };
