/** Learning rates that were tried, each with what kNN made of it, from low to high. */

/** The rate with the highest score; the lowest of those that are equal. */
export function best(tried) {
  return tried.toSorted((a, b) => b.knn - a.knn || a.rate - b.rate)[0];
}

/** @returns the rate to be tried next, as far from the best as that is from its neighbour: none where the best lies between two others */
export function rateBeyond(tried) {
  if (tried.length < 2) return [];
  const { rate } = best(tried);
  const beyond = (neighbour) => [Number(((rate * rate) / neighbour.rate).toPrecision(2))];
  if (rate === tried[0].rate) return beyond(tried[1]);
  if (rate === tried.at(-1).rate) return beyond(tried.at(-2));
  return [];
}
