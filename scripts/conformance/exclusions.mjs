/**
 * Tests of TensorFlow.js that an engine does not pass, and why not. A pattern matches full names; each test that it matches has to fail.
 * A pattern that matches none, or one that passes, fails the run.
 */
export const EXCLUSIONS = {
  wasm: [
    {
      pattern: /^conv2d (gradient )?x=.*NCHW$/,
      reason: 'channels are last everywhere in this project, as in the backend, whose own kernel refuses NCHW too',
    },
  ],
  torch: [],
};
