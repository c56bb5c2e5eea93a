/** Counts in messages. */

/** `1 shard`, `2 shards`, `3 classes`, `2 files without image`. */
export function counted(count: number, noun: string): string {
  return `${count} ${count === 1 ? noun : plural(noun)}`;
}

function plural(noun: string): string {
  const [, head = noun, rest = ''] = /^(.*?)( (?:without|of|behind) .*)?$/.exec(noun) ?? [];
  return `${head}${/(s|x|ch)$/.test(head) ? 'es' : 's'}${rest}`;
}
