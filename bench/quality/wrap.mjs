/** Fills the paragraphs and list items of a page to lines of 100 columns; tables, code, headings and pictures stay. */

const COLUMNS = 100;
/** What would begin a list at the beginning of a line. */
const LIST = /^(?:\d+[.)]|[-+*])$/;
const AS_IT_IS = /^(?:[|#!]|```|<!--)/;

export function wrapped(markdown) {
  const blocks = markdown.trim().split('\n\n');
  return `${blocks.map((block) => (AS_IT_IS.test(block) ? block : items(block).map(filled).join('\n'))).join('\n\n')}\n`;
}

function items(block) {
  return block.split(/\n(?=- )/);
}

function filled(item) {
  const indent = item.startsWith('- ') ? '  ' : '';
  const lines = [];
  for (const word of item.trim().split(/\s+/)) {
    const line = lines.at(-1);
    if (line === undefined) lines.push(word);
    else if (LIST.test(word) || `${line} ${word}`.length <= COLUMNS) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(indent + word);
  }
  return lines.join('\n');
}
