/** What a page of the documentation holds that can be checked: code blocks with their marks, headings, links. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import GithubSlugger from 'github-slugger';
import MarkdownIt from 'markdown-it';

/** Languages of blocks that are code, by how they are run, and of those that are not. */
export const CODE = { sh: 'shell', bash: 'shell', console: 'console', ts: 'typescript', yaml: 'yaml', python: 'python' };
export const NOT_CODE = new Set(['text', 'json']);

const MARK = /^<!-- example: (?<text>[\s\S]*?)\s*-->$/;
const FORMS = 'not run, REASON; types only, REASON; with ARGUMENTS; setup, and on the next lines what runs first';
const markdown = new MarkdownIt({ html: true });

/**
 * @typedef {{ page: string, line: number, language: string, text: string, reason?: string, typesOnly?: string, with?: string, setup?: string }} Block
 * `line` is that of the block's first line of code, from 1
 * @typedef {{ path: string, blocks: Block[], anchors: Set<string>, links: { line: number, target: string }[], faults: string[] }} Page
 */

/** @returns {Page} */
export function readPage(root, path) {
  const page = { path, blocks: [], anchors: new Set(), links: [], faults: [] };
  const slugger = new GithubSlugger();
  const tokens = markdown.parse(readFileSync(join(root, path), 'utf8'), {});
  let marks = [];
  for (const [at, token] of tokens.entries()) {
    const line = (token.map?.[0] ?? 0) + 1;
    if (token.type === 'html_block') {
      const comments = token.content.match(/<!--[\s\S]*?-->/g) ?? [];
      marks.push(...comments.filter((comment) => /^<!--\s*example\b/.test(comment)).map((comment) => ({ line, comment })));
      addLinks(page, line, token);
      continue;
    }
    if (token.type === 'fence') page.blocks.push(block(page, line, token, marks));
    else for (const mark of marks) page.faults.push(`${path}:${mark.line}: no code block follows ${mark.comment}`);
    marks = [];
    if (token.type === 'heading_open') page.anchors.add(slugger.slug(textOf(tokens[at + 1])));
    if (token.type === 'inline') for (const child of token.children ?? []) addLinks(page, line, child);
  }
  return page;
}

function block(page, line, token, marks) {
  const language = token.info.trim();
  const block = { page: page.path, line: line + 1, language, text: token.content };
  const fault = (message) => page.faults.push(`${page.path}:${line}: ${message}`);
  if (!NOT_CODE.has(language) && !Object.hasOwn(CODE, language)) {
    fault(`a block of language "${language}": expected ${[...Object.keys(CODE), ...NOT_CODE].join(', ')}; output and drawings are text`);
  }
  for (const { comment } of marks) {
    const text = MARK.exec(comment)?.groups?.text ?? '';
    const [, form, rest = ''] = /^(not run,|types only,|with|setup)\s+([\s\S]+)$/.exec(text) ?? [];
    if (form === 'not run,') block.reason = rest;
    else if (form === 'types only,' && language === 'ts') block.typesOnly = rest;
    else if (form === 'with' && CODE[language] === 'shell') block.with = rest;
    else if (form === 'setup') block.setup = `${rest}\n`;
    else fault(`${comment} before a block of ${language || 'no language'}: expected <!-- example: ${FORMS} -->`);
  }
  if (language === 'python' && block.reason === undefined) fault('Python is not run: give <!-- example: not run, REASON -->');
  return block;
}

/** As GitHub has it: the text of a heading without its markup. */
function textOf(inline) {
  return (inline.children ?? []).map(({ type, content }) => (type === 'text' || type === 'code_inline' ? content : '')).join('');
}

function addLinks(page, line, token) {
  if (token.type === 'link_open') page.links.push({ line, target: token.attrGet('href') });
  if (token.type === 'image') page.links.push({ line, target: token.attrGet('src') });
  if (token.type.startsWith('html_')) {
    for (const [, , target] of token.content.matchAll(/\b(href|src|srcset)="([^"]+)"/g)) page.links.push({ line, target });
    for (const [, , id] of token.content.matchAll(/\b(id|name)="([^"]+)"/g)) page.anchors.add(id);
  }
}
