/** What became of each test. */
import { ftruncateSync, openSync, writeSync } from 'node:fs';

const MISSING = /Kernel '(\w+)' not registered for backend/;

export class Outcomes {
  #options;
  #started = performance.now();
  #matches;
  #reached = new Set();
  #passed = 0;
  #excluded = 0;
  #elsewhere = 0;
  #disabled = 0;
  #notApplicable = new Map();
  #failures = [];
  #stale = [];

  /**
   * @param kernels a `Kernels`
   * @param exclusions `{ pattern, varies }` of the engine
   * @param complete whether all tests run, so that an exclusion that meets none is stale
   * @param trace print each name before its test runs
   * @param say prints a line
   */
  constructor(options) {
    this.#options = options;
    this.#matches = new Map(options.exclusions.map((exclusion) => [exclusion, 0]));
  }

  /** A jasmine reporter. @param nameOf a result's name for people */
  reporter(nameOf) {
    const { kernels, trace, say } = this.#options;
    // Read by the parent process when this one crashes.
    const path = process.env.DETCO_CONFORMANCE_CURRENT;
    const current = path === undefined ? undefined : openSync(path, 'w');
    return {
      specStarted: (result) => {
        kernels.used.clear();
        if (trace) say(nameOf(result));
        if (current === undefined) return;
        ftruncateSync(current);
        writeSync(current, nameOf(result), 0);
      },
      specDone: (result) => {
        if (result.status === 'pending') this.#disabled += 1;
        else if (result.status !== 'excluded') this.#judge(nameOf(result), messagesOf(result));
      },
      suiteDone: (result) => this.#judgeSuite(nameOf(result), messagesOf(result)),
      jasmineDone: (result) => this.#judgeSuite('outside of all tests', messagesOf(result)),
    };
  }

  #judge(name, messages) {
    const { kernels, exclusions } = this.#options;
    const failed = messages.length > 0;
    const missing = messages.map((message) => MISSING.exec(message)?.[1]);
    const exclusion = exclusions.find(({ pattern }) => pattern.test(name));
    if (exclusion !== undefined) this.#matches.set(exclusion, this.#matches.get(exclusion) + 1);
    if (!kernels.ownsBackend && kernels.used.size === 0) {
      this.#elsewhere += 1;
      if (exclusion !== undefined) this.#stale.push(`${exclusion.pattern} excludes "${name}", which reaches no kernel of the engine`);
    } else if (failed && missing.every((kernel) => kernel !== undefined)) {
      this.#notApplicable.set(missing[0], (this.#notApplicable.get(missing[0]) ?? 0) + 1);
      if (exclusion !== undefined) this.#stale.push(`${exclusion.pattern} excludes "${name}", which needs kernels that are not registered`);
    } else if (exclusion !== undefined) {
      this.#excluded += 1;
      if (!failed && !exclusion.varies) this.#stale.push(`${exclusion.pattern} excludes "${name}", which passes`);
    } else if (failed) {
      this.#fail(name, messages);
    } else {
      this.#passed += 1;
      for (const kernel of kernels.used) this.#reached.add(kernel);
    }
  }

  #judgeSuite(name, messages) {
    if (messages.length > 0) this.#fail(name, messages);
  }

  #fail(name, messages) {
    const { kernels, say } = this.#options;
    const error = (messages.find((message) => !MISSING.test(message)) ?? messages[0]).split('\n', 1)[0];
    const used = [...kernels.used];
    this.#failures.push({ name, error, kernels: used });
    say(`FAIL ${name}\n     ${error.slice(0, 300)}\n     kernels: ${used.join(' ') || 'none'}`);
  }

  /** The result as plain data. @param engine its name */
  summary(engine) {
    const { kernels, complete } = this.#options;
    const unmatched = [...this.#matches].filter(([, count]) => complete && count === 0);
    const stale = [...this.#stale, ...unmatched.map(([{ pattern }]) => `${pattern} excludes no test`)];
    return {
      ok: this.#failures.length === 0 && stale.length === 0,
      engine,
      seconds: Math.round(performance.now() - this.#started) / 1000,
      run: this.#passed + this.#failures.length + this.#excluded,
      passed: this.#passed,
      failed: this.#failures.length,
      excluded: this.#excluded,
      notApplicable: Object.fromEntries([...this.#notApplicable].toSorted(([a], [b]) => (a < b ? -1 : 1))),
      elsewhere: this.#elsewhere,
      disabled: this.#disabled,
      kernels: kernels.claimed,
      unreached: kernels.claimed.filter((kernel) => !this.#reached.has(kernel)),
      stale,
      failures: this.#failures,
    };
  }
}

function messagesOf({ failedExpectations }) {
  return failedExpectations.map(({ message }) => message);
}

/** Prints what `summary` gave. */
export function print(summary, say) {
  const { engine, seconds, run, passed, failed, excluded, notApplicable, elsewhere, disabled, kernels, unreached, stale, failures } =
    summary;
  const sum = (counts) => Object.values(counts).reduce((total, count) => total + count, 0);
  const list = (counts) => Object.entries(counts).map(([name, count]) => `${name} ${count}`);
  if (failures.length > 0) say(`failures by group: ${list(byGroup(failures)).join(', ')}`);
  for (const line of stale) say(`STALE ${line}`);
  say(`${engine}: ${run} tests in ${seconds.toFixed(1)} s: ${passed} passed, ${failed} failed, ${excluded} excluded`);
  say(`not applicable, by the kernel that is not registered: ${sum(notApplicable)} (${list(notApplicable).join(', ') || 'none'})`);
  if (elsewhere > 0) say(`without a kernel of the engine's own: ${elsewhere}`);
  if (disabled > 0) say(`disabled by TensorFlow.js: ${disabled}`);
  say(`kernels: ${kernels.length}; in no test that passes: ${unreached.join(' ') || 'none'}`);
}

/** Failures counted by the first word of the test's name, which is the operation as a rule. */
function byGroup(failures) {
  const counts = {};
  for (const { name } of failures) {
    const [group] = name.split(' ', 1);
    counts[group] = (counts[group] ?? 0) + 1;
  }
  return counts;
}
