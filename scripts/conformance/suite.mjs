/** The program that bundle.mjs makes one script of: starts the engine, runs the suite on it, reports. */
import Module from 'node:module';
import { parseArgs } from 'node:util';
import * as core from '@tensorflow/tfjs-core';
import { engine as tfEngine, getBackend } from '@tensorflow/tfjs-core';
import { registerTestEnv } from '@tensorflow/tfjs-core/dist/jasmine_util';
import '@tensorflow/tfjs-backend-wasm';
import { installGlobals, jasmine } from 'jasmine-core';
import { selectEngine } from '../../dist/engine/index.js';
import { EXCLUSIONS } from './exclusions.mjs';
import { Kernels, keepBackend, registered } from './observe.mjs';
import { Outcomes, print } from './report.mjs';

const { values } = parseArgs({
  options: {
    engine: { type: 'string' },
    device: { type: 'string' },
    precision: { type: 'string' },
    filter: { type: 'string', default: '' },
    exclude: { type: 'string' },
    trace: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
const { log, error } = console;
const say = values.json ? error : log;

installGlobals();
jasmine.DEFAULT_TIMEOUT_INTERVAL = 20_000;
// Tests provoke warnings and print profiles on purpose; those that care spy on the console.
console.warn = console.log = () => undefined;

shareTensorFlowJs();
const stock = registered(values.engine);
const engine = await selectEngine(values.engine, { device: values.device, precision: values.precision }).catch((cause) => {
  error(`conformance: ${cause.message}`);
  process.exit(2);
});
say(engine.description);
const kernels = new Kernels(getBackend(), stock);
keepBackend(tfEngine());

// The suite puts the environment into the name of every test that runs on a backend.
registerTestEnv({ name: 'detco', backendName: getBackend(), flags: {}, isDataSync: true });
const MARK = ' detco {}';
const jasmineEnv = jasmine.getEnv();
allowRepeatedNames();
await import('conformance:tests');

const nameOf = (fullName) => fullName.replaceAll(MARK, '');
const filter = new RegExp(values.filter);
const known = (EXCLUSIONS[values.engine] ?? []).filter(({ on }) => on === undefined || engine.device.startsWith(on));
const outcomes = new Outcomes({
  kernels,
  exclusions: values.exclude === undefined ? known : [{ pattern: new RegExp(values.exclude) }],
  complete: values.filter === '',
  trace: values.trace,
  say,
});
jasmineEnv.configure({
  random: false,
  specFilter: (spec) => spec.getFullName().includes(MARK) && filter.test(nameOf(spec.getFullName())),
});
jasmineEnv.addReporter(outcomes.reporter(({ fullName }) => nameOf(fullName)));
await jasmineEnv.execute();

const summary = outcomes.summary(values.engine);
print(summary, say);
if (values.json) log(JSON.stringify(summary));
// Waits for no thread that the engine may hold; output to a pipe is flushed by then on every platform but Windows.
process.exit(summary.ok ? 0 : 1);

/**
 * tfjs-node's files are loaded from where they lie, and what they require of TensorFlow.js has to be what this script holds. They are
 * ES5, whose classes call the one that they extend.
 */
function shareTensorFlowJs() {
  const KernelBackend = new Proxy(core.KernelBackend, { apply: () => undefined });
  const held = new Map([
    ['@tensorflow/tfjs', { ...core, KernelBackend }],
    ['@tensorflow/tfjs-core', { ...core, KernelBackend }],
  ]);
  const load = Module._load;
  Module._load = (request, ...more) => held.get(request) ?? load(request, ...more);
}

/** The suite has names twice, which jasmine forbids by default; it deprecates the setting, and says so on the console. */
function allowRepeatedNames() {
  console.error = () => undefined;
  jasmineEnv.configure({ forbidDuplicateNames: false });
  console.error = error;
}
