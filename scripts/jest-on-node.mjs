/** The part of jest's globals that the engine tests use, over Node's own test runner: for machines where jest is not. */
import { after, afterEach, before, beforeEach, describe as describeOne, test as testOne } from 'node:test';
import { format } from 'node:util';

export { expect } from 'expect';
export { after as afterAll, afterEach, before as beforeAll, beforeEach };

/** `each` with a table of rows or of single values; the title is a printf format, or names fields of a row: `$name`. */
function each(one) {
  return (table) => (title, body) => {
    for (const row of table) {
      const args = Array.isArray(row) ? row : [row];
      const named = title.replaceAll(/\$(\w+)/g, (text, name) => args[0]?.[name] ?? text);
      one(named.includes('%') ? format(named, ...args) : named, () => body(...args));
    }
  };
}

/** jest's third argument is a time limit, which the whole run has already. */
const withoutLimit = (one) => Object.assign((title, body) => one(title, body), { each: each(one), skip: one.skip, only: one.only });

export const describe = withoutLimit(describeOne);
export const test = withoutLimit(testOne);
export const it = test;
