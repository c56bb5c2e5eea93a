/** Files that look like a TensorFlow, and like the npm package tfjs-node, to who reads and compiles them. */
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { writeTree } from '../support/tree.js';

/** A Python package's folder in site-packages; nothing in it compiles or loads. */
export const TENSORFLOW_PARTS = {
  'tensorflow/__init__.py': 'raise SystemExit(9)',
  'tensorflow/libtensorflow_cc.so.2': 'cc',
  'tensorflow/libtensorflow_framework.so.2': 'framework',
  'tensorflow/include/tensorflow/c/eager/c_api.h': 'extern "C" const char* TF_Version();',
  'tensorflow/python/platform/build_info.py': "build_info = collections.OrderedDict([('is_cuda_build', False)])",
};

/** Beside it: what pip tells of it. */
export function distribution(version: string, name = 'tensorflow_cpu', tag = 'cp311-cp311-manylinux_2_27_x86_64'): Record<string, string> {
  const folder = `${name}-${version}.dist-info`;
  return { [`${folder}/METADATA`]: `Version: ${version}\n`, [`${folder}/WHEEL`]: `Wheel-Version: 1.0\nTag: ${tag}\n` };
}

/** As `TENSORFLOW_PARTS`, with libraries that a C++ compiler has made; the C API has one function. */
export async function compiledTensorFlow(site: string, version: string): Promise<string> {
  await writeTree(site, { ...TENSORFLOW_PARTS, ...distribution(version) });
  const root = join(site, 'tensorflow');
  await writeTree(root, { 'cc.cc': `extern "C" const char* TF_Version() { return "${version}"; }`, 'framework.cc': '' });
  for (const name of ['cc', 'framework']) {
    const library = `libtensorflow_${name}.so.2`;
    execFileSync('c++', ['-shared', '-fPIC', `-Wl,-soname,${library}`, '-o', join(root, library), join(root, `${name}.cc`)]);
  }
  return root;
}

const BINDING = `
#include <node_api.h>
#include "tensorflow/c/eager/c_api.h"
static napi_value gpu(napi_env env, napi_callback_info) { napi_value no; napi_get_boolean(env, false, &no); return no; }
NAPI_MODULE_INIT() {
  napi_value version, function;
  napi_create_string_utf8(env, TF_Version(), NAPI_AUTO_LENGTH, &version);
  napi_set_named_property(env, exports, "TF_Version", version);
  napi_create_function(env, nullptr, 0, gpu, nullptr, &function);
  napi_set_named_property(env, exports, "isUsingGpuDevice", function);
  return exports;
}
`;
const BACKEND = `
const util = require('util');
exports.NodeJSKernelBackend = class {
  constructor(binding, packageName) {
    Object.assign(this, { binding, packageName, core: require('@tensorflow/tfjs-core'), union: require('@tensorflow/tfjs'), isSet: !util.isNullOrUndefined(0) && util.isArray([]) });
  }
};
`;

/** The npm package with a binding of the same shape as the real one's, small enough to be compiled in a test. */
export function nodePackage(version: string, binding: string = BINDING): Record<string, string> {
  const folder = 'node_modules/@tensorflow/tfjs-node';
  return {
    [`${folder}/package.json`]: JSON.stringify({ name: '@tensorflow/tfjs-node', version }),
    [`${folder}/dist/nodejs_kernel_backend.js`]: BACKEND,
    [`${folder}/dist/register_all_kernels.js`]: "require('google-protobuf');",
    [`${folder}/binding/tfjs_binding.cc`]: binding,
    [`${folder}/binding/tfjs_backend.cc`]: '',
    'node_modules/@tensorflow/tfjs/package.json': JSON.stringify({ name: '@tensorflow/tfjs', version }),
    'node_modules/@tensorflow/tfjs/index.js': "module.exports = require('@tensorflow/tfjs-core');",
    'node_modules/google-protobuf/package.json': JSON.stringify({ name: 'google-protobuf', version: '3.21.4' }),
    'node_modules/google-protobuf/index.js': '',
  };
}

/** The tfjs-core that this package uses. */
export const CORE_FOLDER = dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-core/package.json'));
