/** `detco train --watch`: the page of `detco watch` for as long as a run takes. It runs in the thread that has the signals, beside the one that trains. */
import type { WatchServer } from '../watch/server.js';

export interface Along {
  /** To be called when the folder of the run is there. */
  readonly onRun: (path: string) => void;
  close(): Promise<void>;
}

/**
 * @param port one that cannot be had is warned of, and the run goes on without a page
 * @param tell shows the address
 */
export function watchAlong(port: number, tell: (message: string) => void, warn: (message: string) => void): Along {
  let server: Promise<WatchServer | undefined> = Promise.resolve(undefined);
  const serve = async (path: string): Promise<WatchServer | undefined> => {
    const { serveWatch } = await import('../watch/server.js');
    try {
      const started = await serveWatch({ folders: [path], port });
      tell(`watch at ${started.url}`);
      return started;
    } catch (error) {
      warn(`--watch: ${error instanceof Error ? error.message : String(error)}. The run goes on without a page.`);
      return undefined;
    }
  };
  return {
    onRun: (path) => {
      server = serve(path);
    },
    close: async () => (await server)?.close(),
  };
}
