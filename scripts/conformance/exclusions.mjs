const NHWC = "NHWC is TensorFlow.js's default and the only layout of this engine";
const WINDOW = 'expects the input back because the output has its shape; windows of 1x1 two apart meet one element in four';
const STRINGS = 'the engine computes with numbers; it holds, reshapes and reads strings';

/**
 * Tests of TensorFlow.js that an engine does not pass, and why not. A pattern matches full names; each test that it matches has to fail.
 * A pattern that matches none, or one that passes, fails the run. With `on`, the test fails on devices of that kind and has to pass elsewhere;
 * with `varies` it depends on the CPU or on the version of a library, and may pass.
 */
export const EXCLUSIONS = {
  wasm: [
    {
      pattern: /^conv2d (gradient )?x=.*NCHW$/,
      reason: 'channels are last everywhere in this project, as in the backend, whose own kernel refuses NCHW too',
    },
  ],
  torch: [
    {
      pattern: /^(conv2d (gradient )?x=.*|fused conv2d .*)NCHW/,
      reason: NHWC,
    },
    {
      pattern: /^(concat3d|slice |stack|tile|unstack) .*string/,
      reason: STRINGS,
    },
    {
      pattern: /^(equal|notEqual|greater|greaterEqual|less|lessEqual) should support string comparison$/,
      reason: STRINGS,
    },
    {
      pattern: /^maxPool .* ignores NaNs$/,
      reason: 'LibTorch propagates NaN, as PyTorch does: a training run that has met one has to show it',
    },
    {
      pattern: /^pool max x=\[2,2,3\] f=\[1,1\] s=2 p=1 fractional outputs default rounding$/,
      reason: WINDOW,
    },
    {
      pattern: /^gather throws when index is out of bound$/,
      on: 'cuda',
      reason: 'the nearest row is taken: to look for a bad index would wait for the GPU, and CUDA does nothing more after it has met one',
    },
    {
      pattern: /^exp int32$/,
      on: 'cuda',
      reason: "CUDA's exp differs from the host's in the last bit of float32: 22026.466797 for 22026.465795, which the test wants to 1e-3",
    },
    {
      pattern: /^tan numbers exceed float32 precision$/,
      on: 'cuda',
      reason: "CUDA's tan differs from the host's in the last bit of float32: 30144.178 for 30144.176, which the test wants to 1e-3",
    },
  ],
  // Answers for tfjs-node's kernels too, which leaves nearly the same tests out of its own.
  tensorflow: [
    {
      // Of those that the tests themselves do not leave out on a backend of this name.
      pattern: /^(conv2d (gradient )?x=.* f=\[\d,\d,[12],1.*|fused conv2d .*)NCHW/,
      reason: NHWC,
    },
    {
      pattern: /^(avgPool|avgPool3d|maxPool3d|pool avg) .*p=(explicit|[12])/,
      reason: 'tfjs-node pads these as same or valid only; the engine adds paddings in numbers for convolution and max pooling alone',
    },
    {
      pattern: /^(greater|greaterEqual|less|lessEqual) should support string comparison$/,
      reason: 'TensorFlow orders numbers; of strings it tells whether they are equal',
    },
    {
      pattern: /^(leakyrelu int32|step kernel with int32 tensor|diag bool)$/,
      reason: 'TensorFlow has no LeakyRelu and IsNan of int32 and no Diag of bool',
    },
    {
      pattern: /^scatterND should (work for ((simple|multiple) 1d|2d|tensorLike input)|sum the duplicated indices)$/,
      reason: 'TensorFlow takes indices of rank 2 and higher; these are of rank 1 (TensorFlow.js, issue 806)',
    },
    {
      pattern: /^(sign (basic|does not propagate NaNs|accepts a tensor-like object)|unique 1d tensor with NaN and Infinity)$/,
      reason: 'the sign of NaN is NaN to TensorFlow, where the test wants 0, and each NaN is a value of its own',
    },
    {
      pattern: /^einsum (2d matrix calculate trace: duplicate axes not implemented yet|nonexistent dimension throws error)$/,
      reason: 'expects a refusal; TensorFlow computes the trace, and repeats along the dimension that no input has',
    },
    {
      pattern: /^multinomial creates the same data given the same seed$/,
      reason: "TensorFlow's generator goes on from one call to the next",
    },
    {
      pattern: /^pool max x=\[2,2,3\] f=\[1,1\] s=2 p=1 fractional outputs default rounding$/,
      reason: WINDOW,
    },
    {
      pattern: /^conv2dTranspose input=8x8x8,output=4x4x8,f=8,s=1,inDepth=8,p=same vec4$/,
      reason: 'shapes contradict each other: no convolution as large as its input makes 8x8 of 4x4',
    },
    {
      pattern: /^avgPool3d x=\[1,1,1,1,1\] f=\[1,1,3\] s=1 p=valid$/,
      reason: 'expects an empty result where the window is larger than the input; TensorFlow refuses that (its issue 58758)',
    },
    {
      pattern: /^round int32$/,
      varies: true,
      reason: 'Round gives 0 for every integer in TensorFlow 2.18 and 2.21, in Python too',
    },
    {
      pattern: /^tan numbers exceed float32 precision$/,
      varies: true,
      reason: "TensorFlow's tan differs in the last bit of float32: 30144.178 for 30144.176, which the test wants to 1e-3",
    },
  ],
};
