/** Whether the links of pages lead somewhere: to a file of the repository, and to a heading of it. Other sites are not asked. */
import { existsSync } from 'node:fs';
import { posix } from 'node:path';

/**
 * @param {import('./page.mjs').Page[]} pages
 * @param {Set<string>} files all of the repository, folders too
 * @returns {string[]} what is wrong, each with page and line
 */
export function brokenLinks(pages, files) {
  const anchors = new Map(pages.map((page) => [page.path, page.anchors]));
  const faults = [];
  for (const page of pages) {
    for (const { line, target } of page.links) {
      if (/^[a-z][a-z+.-]*:/i.test(target)) continue;
      const [path, anchor] = decodeURI(target).split('#');
      const file = path === '' ? page.path : posix.normalize(posix.join(posix.dirname(page.path), path)).replace(/\/$/, '');
      const at = `${page.path}:${line}: the link "${target}"`;
      if (!files.has(file)) faults.push(`${at} leads to ${file}, which ${existsSync(file) ? 'git does not hold' : 'is not there'}`);
      else if (anchor !== undefined && anchors.has(file) && !anchors.get(file).has(anchor)) {
        faults.push(`${at} leads to no heading of ${file}; it has #${nearest(anchor, anchors.get(file))}`);
      }
    }
  }
  return faults;
}

/** Pages that nobody finds who begins at the front page. */
export function unlistedPages(pages, front) {
  const listed = new Set(pages.find(({ path }) => path === front)?.links.map(({ target }) => target.split('#')[0]));
  return pages
    .filter(({ path }) => path.startsWith('docs/') && !listed.has(path))
    .map(({ path }) => `${path}: ${front} has no link to it: add it to the list of pages at its end`);
}

/** The heading that shares most words. */
function nearest(anchor, anchors) {
  const words = new Set(anchor.split('-'));
  const shared = (one) => one.split('-').filter((word) => words.has(word)).length;
  return [...anchors].toSorted((a, b) => shared(b) - shared(a))[0];
}
