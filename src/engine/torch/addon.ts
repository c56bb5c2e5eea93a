/** What `detco-torch.node` exports. */

/** What it says of itself. */
export interface TorchInfo {
  /** LibTorch's version at run time. */
  readonly version: string;
  /** Threads that an operator may use. */
  readonly threads: number;
  readonly devices: readonly { readonly name: string; readonly memoryBytes?: number }[];
}

export interface TorchAddon {
  info(): TorchInfo;
}
