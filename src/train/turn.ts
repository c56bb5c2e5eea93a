/**
 * A whole turn of the event loop: timers, sockets, signals and messages that wait have been served when it resolves.
 *
 * Engines that compute in the calling thread give results in microtasks, which let nothing else in. One `setImmediate` is not enough either:
 * what it runs may come before the loop has polled.
 */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(() => setImmediate(resolve));
  });
}
