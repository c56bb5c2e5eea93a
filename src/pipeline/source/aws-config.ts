/** Where a bucket is: its region and endpoint, by the environment and the files in ~/.aws as AWS's own tools read them. */
import { CONFIG_PREFIX_SEPARATOR, loadSharedConfigFiles } from '@smithy/core/config';
import { SourceError } from './source.js';

export interface BucketAddress {
  readonly origin: string;
  /** Before the key: empty, or `/bucket` after the path of the endpoint. */
  readonly path: string;
  readonly region: string;
}

type Settings = Readonly<Record<string, string | undefined>>;

/** What is set for S3 in the active profile. */
interface Profile {
  readonly settings: Settings;
  /** Its section of services, which has for example `s3.endpoint_url`. */
  readonly services: Settings;
}

/**
 * The region is AWS_REGION, AWS_DEFAULT_REGION, the profile's, or us-east-1. The name of the bucket is part of the host
 * (virtual-host style) unless the endpoint is a custom one, whose certificate and DNS rarely cover that, or the name has dots,
 * which no wildcard certificate covers.
 * @throws SourceError for a profile that is missing and for an endpoint that is not an address
 */
export async function bucketAddress(bucket: string): Promise<BucketAddress> {
  const location = `s3://${bucket}`;
  const profile = await readProfile(location);
  const region = process.env.AWS_REGION || process.env.AWS_DEFAULT_REGION || profile.settings['region'] || 'us-east-1';
  const endpoint = configuredEndpoint(profile);
  if (endpoint) {
    const { origin, pathname } = parseEndpoint(location, endpoint);
    return { origin, path: `${pathname.replace(/\/$/, '')}/${bucket}`, region };
  }
  const host = `s3.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`;
  return bucket.includes('.')
    ? { origin: `https://${host}`, path: `/${bucket}`, region }
    : { origin: `https://${bucket}.${host}`, path: '', region };
}

interface Endpoint {
  readonly url: string;
  /** Where it is set. */
  readonly from: string;
}

/** In the order of "Service-specific endpoints" of the AWS SDKs and Tools Reference Guide. */
function configuredEndpoint({ settings, services }: Profile): Endpoint | undefined {
  const { env } = process;
  if (isTrue(env['AWS_IGNORE_CONFIGURED_ENDPOINT_URLS'] || settings['ignore_configured_endpoint_urls'])) return undefined;
  const places = [
    ['AWS_ENDPOINT_URL_S3', env['AWS_ENDPOINT_URL_S3']],
    ['AWS_ENDPOINT_URL', env['AWS_ENDPOINT_URL']],
    [`endpoint_url of s3 in the services "${settings['services']}" of the AWS configuration`, services[keyOf('s3', 'endpoint_url')]],
    [`endpoint_url of the AWS profile "${profileName()}"`, settings['endpoint_url']],
  ] as const;
  for (const [from, url] of places) if (url) return { from, url };
  return undefined;
}

function parseEndpoint(location: string, { url, from }: Endpoint): URL {
  if (/^https?:\/\/./i.test(url) && URL.canParse(url)) return new URL(url);
  const shown = url.replace(/^(\w+:\/\/)?.*@/, '$1');
  const problem =
    !url.includes('://') && URL.canParse(`http://${url}`)
      ? `has no scheme; set it to http://${shown}, or to https://${shown} where the server speaks TLS`
      : 'is not an address; expected for example http://localhost:9000';
  throw new SourceError(location, `${from}, "${shown}", ${problem}`);
}

function profileName(): string {
  return process.env.AWS_PROFILE || 'default';
}

/** Read anew each time: a run may outlive what the files said. */
async function readProfile(location: string): Promise<Profile> {
  const { configFile, credentialsFile } = await loadSharedConfigFiles({ ignoreCache: true });
  const name = profileName();
  const known = { ...configFile, ...credentialsFile };
  if (process.env.AWS_PROFILE && !known[name]) {
    const names = Object.keys(known).filter((key) => !key.includes(CONFIG_PREFIX_SEPARATOR));
    const choice = names.length > 0 ? `there are ${names.map((one) => `"${one}"`).join(', ')}` : 'there is none';
    throw new SourceError(location, `AWS_PROFILE names "${name}", which is not in ~/.aws/config or ~/.aws/credentials; ${choice}`);
  }
  // Of a setting in both files the credentials file's counts, as in the AWS command line.
  const settings = { ...configFile[name], ...credentialsFile[name] };
  const services = settings['services'];
  if (services === undefined) return { settings, services: {} };
  const section = configFile[keyOf('services', services)];
  if (section) return { settings, services: section };
  throw new SourceError(
    location,
    `the AWS profile "${name}" names services "${services}", and ~/.aws/config has no [services ${services}]`,
  );
}

/** As the parser names a section with a kind, and a setting within a setting. */
function keyOf(outer: string, inner: string): string {
  return outer + CONFIG_PREFIX_SEPARATOR + inner;
}

function isTrue(text: string | undefined): boolean {
  return text?.toLowerCase() === 'true';
}
