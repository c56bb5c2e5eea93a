import { describe, expect, test } from '@jest/globals';
import { openFilesAdvice } from '#dist/cli/open-files.js';

const ADVICE = /^this process may have \d+ files open at once; raise that to \d+ \(ulimit -n, /;

// Only some systems have a limit that Node can read.
const onLinux = process.platform === 'linux' ? describe : describe.skip;

onLinux('openFilesAdvice', () => {
  test.each([
    ['of Node', "EMFILE: too many open files, open 'a.mjs'"],
    [
      'of sharp, whose package could not be read',
      'Could not load the "sharp" module using the linux-x64 runtime\nERR_INVALID_PACKAGE_CONFIG: Cannot read package config package.json: too many open files.',
    ],
    ['of the dynamic loader', 'libvips-cpp.so: cannot open shared object file: Too many open files'],
  ])('knows an error %s', (_whose, message) => {
    expect(openFilesAdvice(message)).toMatch(ADVICE);
  });

  test('is silent about other errors', () => {
    expect(openFilesAdvice('Unusable options: batch = 0')).toBeUndefined();
  });
});
