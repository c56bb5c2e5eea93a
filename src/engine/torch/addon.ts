/** What `detco-torch.node` exports. */

/** What it says of itself. */
export interface TorchInfo {
  /** Of the LibTorch that it was built with. */
  readonly version: string;
  /** Threads that an operator may use. */
  readonly threads: number;
  readonly cudaDevices: readonly { readonly name: string; readonly capability: string; readonly totalBytes: number }[];
  /** Why there is no CUDA device, when there is none. */
  readonly cudaReason?: string;
}

export interface TorchAddon {
  info(): TorchInfo;
}
