/** What a pipeline's meters mean: measure, analyse, show. */
export { profileReport } from './analyse.js';
export { measurePipeline, type MeasureOptions } from './measure.js';
export { ProfileRecorder, type Measured, type QueueSample, type Step } from './record.js';
export type { BindingResource, ProfileReport, StageReport, Utilisation, WaitShares } from './report.js';
export { knee, sweep, sweepWorkers, type SweepPoint } from './sweep.js';
export { reportLines, sweepLines } from './table.js';
export { chromeTrace, type Trace, type TraceEvent } from './trace.js';
export { reportHtml } from './html.js';
