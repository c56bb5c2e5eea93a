/** Sets variables of process.env (undefined unsets) and returns what puts the old ones back. */
export function setEnv(values: Readonly<Record<string, string | undefined>>): () => void {
  const old = Object.fromEntries(Object.keys(values).map((name) => [name, process.env[name]]));
  assign(values);
  return () => assign(old);
}

function assign(values: Readonly<Record<string, string | undefined>>): void {
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
}
