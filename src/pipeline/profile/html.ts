/** A report as one HTML file that needs nothing else. */
import { pipelineGraph, queueStrips, stepTimes, sweepCurve, waitHistogram } from './figures.js';
import { percent, rate } from './format.js';
import type { Measured } from './record.js';
import type { ProfileReport } from './report.js';
import { escaped } from './svg.js';
import type { SweepPoint } from './sweep.js';
import { stageCells, stageColumns, summary, wasDisturbed } from './table.js';

const STYLE = `
:root { color-scheme: light dark; --page:#fbfaf8; --ink:#1d1f23; --soft:#666a72; --rule:#e2e0db; --card:#fff; --accent:#2f6db5; --fill:#2f6db533;
  --compute:#7a9cc6; --waiting:#d9622b; --starved:#c9372c; --ready:#2e8b57; --limit:#fdf0e7; }
@media (prefers-color-scheme: dark) { :root { --page:#16181c; --ink:#e6e6e3; --soft:#9a9ea6; --rule:#2e3238; --card:#1d2025; --accent:#7db2ee; --fill:#7db2ee2e;
  --compute:#4d6f9b; --waiting:#f0874f; --starved:#f0695d; --ready:#57b985; --limit:#33261d; } }
* { box-sizing:border-box } body { margin:0; background:var(--page); color:var(--ink); font:15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif }
main { max-width:1024px; margin:0 auto; padding:40px 32px 64px } h1 { font-size:13px; font-weight:600; color:var(--soft); margin:0 0 12px; letter-spacing:.02em }
.verdict { font-size:25px; line-height:1.32; font-weight:600; margin:0 0 14px; text-wrap:pretty; letter-spacing:-.01em } .next { margin:0; padding:12px 16px; border-left:3px solid var(--accent); background:var(--card); font-size:16px }
h2 { font-size:17px; margin:44px 0 2px; letter-spacing:-.005em } .note { color:var(--soft); margin:0 0 12px; max-width:76ch } svg { display:block; max-width:100%; height:auto; overflow:visible }
.tiles { display:grid; grid-template-columns:repeat(auto-fit, minmax(150px, 1fr)); gap:1px; background:var(--rule); border:1px solid var(--rule); margin:28px 0 0 } .tiles div { background:var(--card); padding:12px 16px }
.tiles b { display:block; font-size:23px; font-weight:600; font-variant-numeric:tabular-nums } .tiles span { color:var(--soft); font-size:13px }
.scroll { overflow-x:auto } table { border-collapse:collapse; font-variant-numeric:tabular-nums; font-size:13.5px; width:100% } th { color:var(--soft); font-weight:500; text-align:right; padding:4px 0 6px 14px; border-bottom:1px solid var(--rule); white-space:nowrap }
td { text-align:right; padding:4px 0 4px 14px; border-bottom:1px solid var(--rule); white-space:nowrap } th:first-child, td:first-child { text-align:left; padding-left:0 } td.sub { padding-left:18px!important; color:var(--soft) }
dl { display:grid; grid-template-columns:max-content 1fr; gap:4px 24px; margin:0 } dt { color:var(--soft) } dd { margin:0 }
text { font:12.5px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill:var(--ink) } .tick { fill:var(--soft); font-size:11.5px } .middle { text-anchor:middle } .end { text-anchor:end } .name { font-weight:600; font-size:15px }
.grid { stroke:var(--rule); stroke-width:1 } .node { fill:var(--card); stroke:var(--rule) } .node.limit { fill:var(--limit); stroke:var(--waiting); stroke-width:2 } .track { fill:var(--rule) } .busy { fill:var(--accent) } .arrow { fill:none; stroke-width:2.5 }
.fill { fill:var(--fill) } .stroke { stroke:var(--accent); stroke-width:1.6; stroke-linejoin:round } .compute { fill:var(--compute) } .waiting { fill:var(--waiting) } .mark { fill:var(--accent) } .mark.best { fill:var(--waiting) }
.key::before { content:""; display:inline-block; width:10px; height:10px; margin:0 6px 0 14px; background:var(--key) }
@media print { main { padding:0; max-width:none } }
`;

function section(title: string, note: string, content: string): string {
  return content === '' ? '' : `<section><h2>${escaped(title)}</h2><p class="note">${note}</p>${content}</section>`;
}

function key(colour: string, name: string): string {
  return `<span class="key" style="--key:var(--${colour})">${escaped(name)}</span>`;
}

function freeTile(free: NonNullable<ProfileReport['ifDataWereFree']>): [string, string] {
  return wasDisturbed(free)
    ? [rate(free.imagesPerSecond), 'images/s if data were free, slower than the run itself: this was disturbed']
    : [`+${percent(Math.max(0, free.gain))}`, 'if data were free, measured'];
}

function tiles(report: ProfileReport): string {
  const { drained, dataWaitShare, imagesPerSecond, supply, demand, ifDataWereFree, utilisation } = report;
  const list: [string, string][] = [
    [rate(imagesPerSecond), 'images/s'],
    ...(drained ? [] : [[percent(dataWaitShare), 'of step time waited for data'] as [string, string]]),
    ...(demand === undefined ? [] : [[rate(demand), 'images/s the consumer would take'] as [string, string]]),
    ...(drained
      ? []
      : [[rate(supply.imagesPerSecond), `images/s the pipeline can feed${supply.measured ? '' : ' (estimate)'}`] as [string, string]]),
    ...(ifDataWereFree ? [freeTile(ifDataWereFree)] : []),
    [percent(utilisation.cores), `of ${rate(report.setup.cores)} cores`],
    ...(drained ? [[percent(Math.max(...utilisation.workers)), 'busy: the busiest worker'] as [string, string]] : []),
  ];
  return `<div class="tiles">${list.map(([value, name]) => `<div><b>${escaped(value)}</b><span>${escaped(name)}</span></div>`).join('')}</div>`;
}

function table(report: ProfileReport): string {
  const head = stageColumns.map((name) => `<th>${escaped(name)}</th>`).join('');
  const rows = report.stages.map((stage) => {
    const cells = stageCells(stage).map(
      (cell, column) => `<td${column === 0 && cell.startsWith(' ') ? ' class="sub"' : ''}>${escaped(cell.trim())}</td>`,
    );
    return `<tr>${cells.join('')}</tr>`;
  });
  return `<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>${rows.join('')}</tbody></table></div>`;
}

/**
 * A report as one HTML file without outside requests.
 *
 * @param subject what was measured: the shards, or the run
 */
export function reportHtml(
  report: ProfileReport,
  measured: Measured,
  { subject, sweep, knee }: { readonly subject: string; readonly sweep?: readonly SweepPoint[]; readonly knee?: number },
): string {
  const waits = `${key('waiting', 'waiting for a batch')}${key('compute', 'computing')}`;
  const firsts = measured.totals.stages['first']?.count
    ? `${key('waiting', 'within an epoch')}${key('compute', 'first batch of an epoch')}`
    : '';
  const facts = summary(report).map(([name, value]) => `<dt>${escaped(name)}</dt><dd>${escaped(value)}</dd>`);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>detco profile: ${escaped(subject)}</title><style>${STYLE}</style></head>
<body><main><h1>detco profile · ${escaped(subject)}</h1>
<p class="verdict">${escaped(report.verdict)}</p><p class="next">${escaped(report.nextStep)}</p>${tiles(report)}
${section('The pipeline', 'An arrow is green when the next stage finds what it comes for, red when it has to wait. The stage that limits the run is marked.', pipelineGraph(report))}
${section('Queues over time', 'What lies ready between the stages. Upstream of the limit queues are full, downstream empty.', queueStrips(measured))}
${section('Time of the steps', waits, stepTimes(measured))}
${section('Waits for a batch', `How long <code>next()</code> took.${firsts}`, waitHistogram(measured))}
${sweep && knee !== undefined ? section('Workers', `Images a second, drained; ${knee} ${knee === 1 ? 'worker comes' : 'workers come'} within 5 % of the best.`, sweepCurve(sweep, knee)) : ''}
${section('Stages', '“Busy” is the share of the lanes or threads at work; “found” how often a stage that waits found what it came for; the waiting is the consumer’s.', table(report))}
${section('Figures', '', `<dl>${facts.join('')}</dl>`)}
</main></body></html>
`;
}
