/** What limits the run, in words, and what to change. The thresholds are those of TensorFlow's input-pipeline analyzer. */
import { formatByteSize } from '../../common/byte-size.js';
import { msText, percent, rate } from './format.js';
import type { BindingResource, Facts, Utilisation } from './report.js';

const MODERATELY = 0.05;
const HIGHLY = 0.2;
/** A resource used beyond this share has nothing left to give; scheduling takes the rest. */
const SATURATED = 0.9;
/** The same of an event loop. */
const LOOP_SATURATED = 0.85;
/** A process with less of its cores than this, on a busy machine, is crowded out by others. */
const CROWDED = 0.75;
/** Images that wait for a decoding thread, on average, when there are too few of them. */
const QUEUED = 0.5;
/** Below this a JPEG is already small: fewer pixels do not help. */
const SMALL_IMAGE_BYTES = 40_000;
/** Bytes fetched for each byte used, from which on several lanes read the same shard. */
const AMPLIFIED = 1.5;

/** Walks from the sink to the source: the first thing that is always at work is what limits the run. */
export function bindingResource({ drained, dataWaitShare, waitShares, utilisation, medium }: Facts): BindingResource {
  if (!drained && dataWaitShare < MODERATELY) return 'consumer';
  const { source, augment, tar, handoff } = waitShares;
  if (handoff > 0.5) return 'event-loop';
  const inWorkers = waitShares.decode * utilisation.decodedByWorkers;
  const decode = waitShares.decode - inWorkers;
  const working = augment + tar + inWorkers;
  if (utilisation.cores >= SATURATED) return 'cores';
  // The turns keep lanes together, so one worker that is always busy holds up the others.
  if (Math.max(...utilisation.workers) >= LOOP_SATURATED && working >= Math.max(source, decode)) {
    const { runnable = 0, blocked = 0 } = utilisation.contention ?? {};
    const several = utilisation.workers.length > 1;
    // Where hardly any core is left, who is without one waits for a core, and fewer workers would not help.
    const held = blocked + (utilisation.cores < CROWDED ? runnable : 0);
    return several && held >= HIGHLY && utilisation.machine < SATURATED ? 'contention' : 'cores';
  }
  if (source >= Math.max(decode, working)) return medium;
  if (decode < working || utilisation.machine >= 0.95) return 'cores';
  return utilisation.decoderQueue >= QUEUED ? 'libuv' : 'lanes';
}

const NAMES: Readonly<Record<BindingResource, string>> = {
  consumer: 'the consumer',
  cores: 'the cores',
  contention: 'workers that hold each other up',
  libuv: 'the threads that decode (libuv)',
  lanes: 'the number of lanes',
  network: 'the network',
  disk: 'the disk',
  'event-loop': "the consumer's event loop",
};

/** One sentence with the figures. */
export function verdict(facts: Facts, binding: BindingResource): string {
  const { drained, dataWaitShare, imagesPerSecond, wait, epochFirst } = facts;
  if (drained) {
    return (
      `SUPPLY ${rate(imagesPerSecond)} images/s, limited by ${NAMES[binding]} (${evidence(facts, binding)}): ` +
      `a consumer that wants more than that waits for data.`
    );
  }
  const degree = dataWaitShare < MODERATELY ? 'NOT' : dataWaitShare < HIGHLY ? 'MODERATELY' : 'HIGHLY';
  const first = epochFirst.count > 0 ? `; first batch of an epoch ${msText(epochFirst.p50Ms)}` : '';
  const cause = binding === 'consumer' ? '' : `, held up by ${NAMES[binding]} (${evidence(facts, binding)})`;
  return (
    `${degree} input-bound: ${percent(dataWaitShare)} of step time waited for data` +
    ` (next() p50 ${msText(wait.p50Ms)}, p99 ${msText(wait.p99Ms)}${first})${cause}.`
  );
}

function evidence({ utilisation, setup, bytesPerSecond, waitShares, ceiling }: Facts, binding: BindingResource): string {
  switch (binding) {
    case 'cores':
      return utilisation.cores >= SATURATED || setup.workers >= setup.cores
        ? `${percent(utilisation.cores)} of ${rate(setup.cores)} cores in use, ${ceiling.cpuMsPerImage.toFixed(1)} ms of CPU an image`
        : `${setup.workers} ${setup.workers === 1 ? 'worker' : 'workers'} ${percent(Math.max(...utilisation.workers))} busy on ${rate(setup.cores)} cores`;
    case 'contention':
      return `${contentionText(utilisation)} of the time that they have work, on ${rate(setup.cores)} cores ${percent(utilisation.cores)} in use`;
    case 'network':
    case 'disk':
      return `${percent(waitShares.source)} of the waiting is for bytes, which come at ${formatByteSize(bytesPerSecond)}/s`;
    case 'libuv':
      return `${utilisation.decoderQueue.toFixed(1)} images queue for ${setup.uvThreads} threads`;
    case 'lanes':
      return `each of the ${setup.lanes} lanes decodes one image at a time, and cores and threads have time to spare`;
    case 'event-loop':
      return `${percent(waitShares.handoff)} of the waiting is for batches that are ready`;
    case 'consumer':
      return `it waits ${percent(waitShares.handoff)}`;
  }
}

/** The one thing to change next. */
export function nextStep(facts: Facts, binding: BindingResource): string {
  const { setup, utilisation, supply, demand, ceiling } = facts;
  switch (binding) {
    case 'consumer': {
      const most = `${supply.measured ? '' : 'about '}${rate(supply.imagesPerSecond)} images/s`;
      return `Nothing to gain in the pipeline: your consumer is the limit. It takes ${rate(demand ?? 0)} images/s; the pipeline can feed ${most}.`;
    }
    case 'cores': {
      const workers = Math.min(Math.max(1, Math.floor(setup.cores)), setup.lanes);
      if (setup.workers < workers && utilisation.cores < SATURATED)
        return `Use ${workers} workers (--workers ${workers}): ${setup.workers === 1 ? 'the only one is' : `all ${setup.workers} are`} busy and ${rate(setup.cores)} cores are there.`;
      if (setup.workers === setup.lanes && setup.workers < Math.floor(setup.cores) && utilisation.cores < SATURATED)
        return `Use ${Math.floor(setup.cores)} lanes and as many workers (option lanes; the order of the samples changes with it): each worker needs a lane, all ${setup.workers} are busy and ${rate(setup.cores)} cores are there.`;
      if (utilisation.cores < CROWDED && utilisation.machine >= SATURATED)
        return `Other processes keep the machine ${percent(utilisation.machine)} busy and leave this one ${percent(utilisation.cores)} of its cores: stop them, or ${lowered(fewerPixels(facts))}.`;
      return `${fewerPixels(facts)}, or give it more cores: ${rate(setup.cores)} can do ${rate(ceiling.imagesPerSecond)} images/s at the very most.`;
    }
    case 'contention': {
      const fewer = Math.max(1, Math.floor(setup.workers / 2));
      return `Use fewer workers (--workers ${fewer}), or two processes with half of them each (options rank and worldSize of detco/pipeline): threads of one process share its memory.`;
    }
    case 'network':
      return (
        sharedShards(facts) ??
        `Keep the shards near with cacheDir (--cache-dir DIR; from the second epoch on), or make them smaller with detco shard --resize-short 256.`
      );
    case 'disk':
      return sharedShards(facts) ?? `Put the shards on a faster disk, or make them smaller with detco shard --resize-short 256.`;
    case 'libuv':
      return `Set UV_THREADPOOL_SIZE=${Math.max(Math.ceil(setup.cores), 2 * setup.uvThreads)} in the environment before the program starts.`;
    case 'lanes':
      return `Use more lanes (option lanes: ${2 * setup.lanes}; the order of the samples changes with it).`;
    case 'event-loop':
      return `Move other work off the thread that consumes: its event loop is ${percent(utilisation.consumerLoop)} busy and takes batches late.`;
  }
}

/** `3.0 % without a core, 12 % blocked` */
export function contentionText({ contention: { runnable, blocked } = { runnable: 0, blocked: 0 } }: Utilisation): string {
  return `${percent(runnable)} without a core, ${percent(blocked)} blocked`;
}

const lowered = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);

/** What makes an image cheaper. Decoding costs as much as there are pixels in the JPEG; of small ones there is little to save. */
function fewerPixels({ bytesPerImage, setup, utilisation }: Facts): string {
  if (utilisation.leftToDevice > 0.5) return 'Read fewer bytes (detco shard --resize-short 256)';
  if (bytesPerImage > SMALL_IMAGE_BYTES) return 'Decode fewer pixels (detco shard --resize-short 256)';
  return setup.augment === 'worker'
    ? 'Leave colour and blur to a GPU (--augment device), render smaller views'
    : 'Render fewer pixels (smaller views, or a recipe with fewer of them)';
}

function sharedShards({ setup, amplification }: Facts): string | undefined {
  if (setup.shards >= setup.lanes || amplification < AMPLIFIED) return undefined;
  return `Make at least ${setup.lanes} shards (detco shard --per-shard N): ${setup.lanes} lanes share ${setup.shards}, so every byte is read ${amplification.toFixed(1)} times.`;
}
