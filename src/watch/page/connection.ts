/** The stream of the server. A browser connects again by itself, except where the answer was an error: then this does. */
import type { Message } from '../protocol.js';

const RETRY_MS = 2000;

export interface Listener {
  /** Before the first message of each connection. */
  readonly onOpen: () => void;
  readonly onMessage: (message: Message) => void;
  readonly onLost: () => void;
}

export function connect(listener: Listener): void {
  const source = new EventSource('/events');
  source.addEventListener('open', listener.onOpen);
  source.addEventListener('message', ({ data }: MessageEvent<string>) => listener.onMessage(JSON.parse(data) as Message));
  source.addEventListener('error', () => {
    listener.onLost();
    if (source.readyState !== EventSource.CLOSED) return;
    source.close();
    setTimeout(() => connect(listener), RETRY_MS);
  });
}
