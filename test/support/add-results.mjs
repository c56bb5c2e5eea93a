/** Keeps results under names of its own, one after the other: FILE PREFIX COUNT. */
import { addResult } from '#dist/eval/results-file.js';

const [file, prefix, count] = process.argv.slice(2);
for (let index = 0; index < Number(count); index++) await addResult(file, `${prefix}-${index}`, { evaluation: 'knn', stages: {} });
