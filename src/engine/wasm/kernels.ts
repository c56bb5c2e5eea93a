/** What assembly/ exports. Addresses and strides are in bytes, everything else in elements. */
export interface Kernels {
  packPanels(
    source: number,
    depth: number,
    columns: number,
    depthStride: number,
    columnStride: number,
    packed: number,
    panelDepth: number,
  ): void;
  convolve(
    x: number,
    batch: number,
    height: number,
    width: number,
    channels: number,
    packed: number,
    filterRows: number,
    taps: number,
    rowTable: number,
    outHeight: number,
    columnTable: number,
    outWidth: number,
    outChannels: number,
    out: number,
    edge: number,
  ): void;
  multiply(
    a: number,
    rows: number,
    depth: number,
    b: number,
    depthStride: number,
    columnStride: number,
    columns: number,
    out: number,
    scratch: number,
  ): void;
  multiplyScratch(depth: number, columns: number): number;
  multiplyTransposed(a: number, rows: number, depth: number, b: number, columns: number, out: number): void;
  filterGradient(
    x: number,
    batch: number,
    height: number,
    width: number,
    channels: number,
    dy: number,
    outHeight: number,
    outWidth: number,
    outChannels: number,
    filterHeight: number,
    filterWidth: number,
    strideHeight: number,
    strideWidth: number,
    padTop: number,
    padLeft: number,
    out: number,
  ): void;
  batchNorm(
    x: number,
    groups: number,
    rows: number,
    channels: number,
    scale: number,
    offset: number,
    epsilon: number,
    residual: number,
    relu: number,
    y: number,
    mean: number,
    variance: number,
    groupMean: number,
    groupInverse: number,
    scratch: number,
  ): void;
  batchNormScratch(channels: number): number;
  batchNormGradient(
    x: number,
    y: number,
    dy: number,
    groups: number,
    rows: number,
    channels: number,
    scale: number,
    groupMean: number,
    groupInverse: number,
    dx: number,
    dScale: number,
    dOffset: number,
    dResidual: number,
    scratch: number,
  ): void;
  batchNormGradientScratch(channels: number): number;
  maxPoolGradient(
    x: number,
    y: number,
    dy: number,
    batch: number,
    height: number,
    width: number,
    channels: number,
    outHeight: number,
    outWidth: number,
    filterHeight: number,
    filterWidth: number,
    strideHeight: number,
    strideWidth: number,
    padTop: number,
    padLeft: number,
    dx: number,
  ): void;
  sumSegments(source: number, segments: number, rows: number, width: number, count: number, out: number): void;
  exponential(x: number, count: number, out: number): void;
  sgd(p: number, g: number, v: number, count: number, rate: number, momentum: number, decay: number): void;
  lerp(target: number, source: number, count: number, weight: number): void;
  normaliseImages(
    bytes: number,
    count: number,
    out: number,
    factorR: number,
    factorG: number,
    factorB: number,
    shiftR: number,
    shiftG: number,
    shiftB: number,
  ): void;
}
