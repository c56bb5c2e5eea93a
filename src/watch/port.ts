/** Where the page is looked for when nobody names another port; no well-known service has it. */
export const DEFAULT_PORT = 8265;
