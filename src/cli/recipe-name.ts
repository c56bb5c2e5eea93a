/** `--recipe` of the commands that make views. */
import { z } from 'zod';

export const RECIPE_NAMES = ['detco', 'mocoV2', 'mocoV1', 'simclr'] as const;

const WORDS = `${RECIPE_NAMES.slice(0, -1).join(', ')} or ${RECIPE_NAMES.at(-1)}`;

export const recipeName = z.enum(RECIPE_NAMES, { error: `expected ${WORDS}` });
