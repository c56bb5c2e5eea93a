/** What Node's report says of this process. */

interface NodeReport {
  readonly header?: { readonly glibcVersionRuntime?: string };
  readonly environmentVariables?: Readonly<Record<string, string | undefined>>;
  readonly userLimits?: { readonly open_files?: { readonly soft?: number | string } };
}

/** A report without names of hosts: Node would ask DNS for both ends of every socket, and wait a minute for a server that does not answer. */
export function nodeReport(): NodeReport {
  // The types of Node 20 do not have it; before 20.19 it leaves out interfaces of the network alone.
  const settings: NodeJS.ProcessReport & { excludeNetwork?: boolean } = process.report;
  const { excludeNetwork = false } = settings;
  settings.excludeNetwork = true;
  try {
    return process.report.getReport() as NodeReport;
  } finally {
    settings.excludeNetwork = excludeNetwork;
  }
}
