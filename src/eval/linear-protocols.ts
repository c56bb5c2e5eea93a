/** How linear classifiers are trained on frozen features, by the names of those whose published numbers they are for. */

export interface LinearProtocol {
  readonly epochs: number;
  /** At batch 256; it goes with the batch. */
  readonly rate: number;
  /** The rate in an epoch, from 0, as a share of the first. */
  readonly share: (epoch: number, epochs: number) => number;
}

export const LINEAR_BATCH = 256;

export const LINEAR_PROTOCOLS = {
  /** MoCo's main_lincls.py, which DetCo took over: x 0.1 after 60 % and 80 % of the epochs. */
  moco: {
    epochs: 100,
    rate: 30,
    share: (epoch, epochs) => 0.1 ** [0.6, 0.8].filter((milestone) => epoch >= Math.round(milestone * epochs)).length,
  },
  /** lightly's linear_eval.py, after SimCLR (appendix B.6). */
  lightly: { epochs: 90, rate: 0.1, share: (epoch, epochs) => 0.5 * (1 + Math.cos((Math.PI * epoch) / epochs)) },
} as const satisfies Readonly<Record<string, LinearProtocol>>;

export type ProtocolName = keyof typeof LINEAR_PROTOCOLS;
export const PROTOCOL_NAMES = Object.keys(LINEAR_PROTOCOLS) as [ProtocolName, ...ProtocolName[]];

/** What a run of the probe is made of. */
export interface LinearPlan {
  readonly protocol: LinearProtocol;
  readonly classes: number;
  /** Images a step. */
  readonly batch: number;
  readonly epochs: number;
  readonly seed: number;
}

/** Learning rate of a step. */
export function rateAt(
  { protocol, batch, epochs }: Pick<LinearPlan, 'protocol' | 'batch' | 'epochs'>,
  rate: number,
  epoch: number,
): number {
  return rate * (batch / LINEAR_BATCH) * protocol.share(epoch, epochs);
}
