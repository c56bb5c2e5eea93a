/** What a download leaves in the place of a file, without an error: told by its first bytes. */

const PLACEHOLDERS: readonly (readonly [start: RegExp, name: string, remedy: string])[] = [
  [
    /^(\xef\xbb\xbf)?\s*<(!doctype|html|\?xml)/i,
    'a page of HTML or XML',
    'the server may want a login: DETCO_HTTP_HEADERS; a file that was downloaded is to be downloaded again',
  ],
  [/^version https:\/\/git-lfs/, 'a pointer of Git LFS', 'fetch what it stands for with git lfs pull'],
];

/**
 * @param start the first bytes of a file, as Latin-1
 * @returns what the file is and what to do; undefined when it is neither a web page nor a pointer
 */
export function placeholderOf(start: string): { readonly name: string; readonly remedy: string } | undefined {
  const [, name, remedy] = PLACEHOLDERS.find(([pattern]) => pattern.test(start)) ?? [];
  return name === undefined || remedy === undefined ? undefined : { name, remedy };
}
