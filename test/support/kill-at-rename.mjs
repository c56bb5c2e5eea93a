/** For `node --import`: kills the process by SIGKILL in the place of the first rename to a path that ends in DETCO_TEST_KILL_AT_RENAME. */
import { promises } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const { rename } = promises;
promises.rename = async (from, to) => {
  if (to.endsWith(process.env.DETCO_TEST_KILL_AT_RENAME)) process.kill(process.pid, 'SIGKILL');
  return rename(from, to);
};
syncBuiltinESMExports();
