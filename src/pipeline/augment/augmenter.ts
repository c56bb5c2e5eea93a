/** Turns one decoded image into every view of a recipe. */
import { draftFor, LEAST_FOR_DRAFT, LEAST_OVERSAMPLING, rescale, shrinkFor } from './shrink.js';
import { streamId } from '../../common/random.js';
import { draftSize, type DraftTimes } from '../jpeg/draft.js';
import { defer, deferredRecipe, deferWhole, type PendingView } from './defer.js';
import { execute } from './execute.js';
import { Kernels, type Source } from './kernels.js';
import { type CropPlan, drawSample, type PicturePlan, type SampleStream, type Size } from './parameters.js';
import { pictureSide, type Recipe, viewBytes } from './recipe.js';

export interface DecodedImage {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  /** RGB, interleaved, row after row without gaps. */
  readonly data: Uint8Array;
  /** Size of the image when it was decoded smaller than it is. */
  readonly original?: Size;
  /** Size, in pixels of the original, of what the pixels show, where that reaches beyond it: a draft has whole pixels. */
  readonly covers?: Size;
}

/** What is left to do, by view and picture. */
export type LeftViews = Readonly<Record<string, readonly PendingView[]>>;

/** An image in the augmenter's memory. */
export interface LoadedImage {
  /** Of the whole image, also where it was decoded smaller. */
  readonly size: Size;
  /** Memory that its pixels take. */
  readonly bytes: number;
  /** The file of an image that is decoded elsewhere: then no view is written, and cutting is left too. */
  readonly compressed?: Uint8Array;
  /**
   * Renders every view of the recipe: `out[name]` is exactly `viewBytes(view)` long and may lie over shared memory.
   * The pixels depend on the image, the sample and the view's name alone.
   *
   * @returns what is left for a device to do; nothing unless the augmenter defers
   * @throws {RangeError} when a view has no buffer of its size
   */
  render(sample: SampleStream, out: Readonly<Record<string, Uint8Array>>): LeftViews;
  /** Frees the memory for the next image; the image is not rendered again. */
  unload(): void;
}

export interface Augmenter {
  /**
   * How many times smaller an image of `width` x `height` may be decoded for this sample's views: 1, 3, 5 or 9. Which views
   * are made does not depend on it.
   */
  shrink(width: number, height: number, sample: SampleStream): number;
  /** The same, where the image is drafted, and a pixel for each pixel of a view is enough. */
  draft(width: number, height: number, sample: SampleStream): DraftTimes;
  /** The parts of an image of `width` x `height` that this sample's views are made of; nothing else of it is looked at. */
  windows(width: number, height: number, sample: SampleStream): readonly CropPlan['window'][];
  /**
   * What is left to do to each view of an image of `width` x `height` that is decoded elsewhere, cutting too; undefined where something has to
   * be done here.
   */
  leave(width: number, height: number, sample: SampleStream): LeftViews | undefined;
  /**
   * Takes a copy of an image that is to be rendered later. The decoder's own buffer can go at once: kept by many samples in
   * waiting, such buffers make V8 collect its whole heap several times a second.
   *
   * @throws {RangeError} when the image's size and data disagree
   */
  load(image: DecodedImage): LoadedImage;
  /**
   * Has an image of `width` x `height` decoded into the augmenter's memory.
   *
   * @param times how many times smaller it is decoded
   * @param write gets room for RGB of its size then (`draftSize`), and says whether it has filled it; until it returns nothing else is asked of
   *   the augmenter
   * @returns undefined if it has not
   */
  fill(width: number, height: number, times: DraftTimes, write: (pixels: Uint8Array) => boolean): LoadedImage | undefined;
}

function checkImage({ width, height, data }: DecodedImage): void {
  const whole = Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0;
  if (!whole || data.length !== width * height * 3) {
    throw new RangeError(
      `decoded image of ${width} x ${height} pixels with ${data.length} bytes: expected whole sides from 1 and width * height * 3 bytes of RGB`,
    );
  }
}

/**
 * Prepares the kernels for a valid recipe. Each augmenter has its own memory: make one a thread.
 *
 * @param deferred leave to a device what it can do; views are then those of `deferredRecipe`
 * @param onView called after each view with its place in the recipe
 */
export async function createAugmenter(
  recipe: Recipe,
  { deferred = false, onView }: { readonly deferred?: boolean; readonly onView?: (view: number) => void } = {},
): Promise<Augmenter> {
  const written = deferred ? deferredRecipe(recipe).views : recipe.views;
  const entries = Object.entries(recipe.views).map(([name, view]) => ({
    name,
    view,
    stream: streamId(name),
    bytes: viewBytes(written[name] ?? view),
  }));
  const sides = entries.map(({ view }) => pictureSide(view));
  const kernels = await Kernels.load(Math.max(...sides));
  const known = new WeakMap<SampleStream, { readonly size: Size; readonly views: readonly (readonly PicturePlan[])[] }>();
  /** Of each view; drawn once for a sample, which is asked for before it is decoded and when it is rendered. */
  const draw = (size: Size, sample: SampleStream): readonly (readonly PicturePlan[])[] => {
    const drawn = known.get(sample);
    if (drawn?.size.width === size.width && drawn.size.height === size.height) return drawn.views;
    const views = entries.map(({ view, stream }) => drawSample(view, stream, size, sample));
    known.set(sample, { size, views });
    return views;
  };
  const render = (
    source: Source,
    { original, covers }: { readonly original: Size; readonly covers: Size },
    sample: SampleStream,
    out: Readonly<Record<string, Uint8Array>>,
  ): Record<string, readonly PendingView[]> => {
    for (const { name, bytes } of entries) {
      const length = out[name]?.length;
      if (length !== bytes) throw new RangeError(`out.${name} has ${length ?? 'no'} bytes: this view needs exactly ${bytes}`);
    }
    const left: Record<string, readonly PendingView[]> = {};
    const drawn = draw(original, sample);
    for (const [place, { name, bytes }] of entries.entries()) {
      const target = out[name];
      const plans = drawn[place];
      if (target === undefined || plans === undefined) continue;
      const length = bytes / plans.length;
      const later: PendingView[] = [];
      for (const [i, drawn] of plans.entries()) {
        const plan = { ...drawn, crop: rescale(drawn.crop, covers, source) };
        const { now, pending } = deferred ? defer(plan) : { now: plan, pending: undefined };
        execute(kernels, source, now, target.subarray(i * length, (i + 1) * length));
        if (pending) later.push(pending);
      }
      if (deferred) left[name] = later;
      onView?.(place);
    }
    return left;
  };
  const loaded = (source: Source, original: Size, covers = original): LoadedImage => ({
    size: original,
    bytes: 3 * source.width * source.height,
    render: (sample, out) => render(source, { original, covers }, sample, out),
    unload: () => kernels.unload(source),
  });
  const crops = (size: Size, sample: SampleStream): CropPlan[] => draw(size, sample).flatMap((plans) => plans.map(({ crop }) => crop));
  const largest = Math.max(...sides);
  return {
    shrink(width, height, sample) {
      return Math.min(width, height) < LEAST_OVERSAMPLING * largest ? 1 : shrinkFor(crops({ width, height }, sample));
    },
    draft(width, height, sample) {
      return Math.min(width, height) < LEAST_FOR_DRAFT * largest ? 1 : draftFor(crops({ width, height }, sample));
    },
    windows(width, height, sample) {
      return crops({ width, height }, sample).map(({ window }) => window);
    },
    leave(width, height, sample) {
      const left: Record<string, readonly PendingView[]> = {};
      const drawn = draw({ width, height }, sample);
      for (const [place, { name }] of entries.entries()) {
        const pictures = drawn[place]?.map(deferWhole) ?? [];
        if (pictures.includes(undefined)) return undefined;
        left[name] = pictures.filter((picture) => picture !== undefined);
      }
      return left;
    },
    load(image) {
      checkImage(image);
      const { width, height } = image.original ?? image;
      return loaded(kernels.load(image.width, image.height, image.data), { width, height }, image.covers);
    },
    fill(width, height, times, write) {
      const size = draftSize({ width, height }, times);
      const source = kernels.fill(size.width, size.height, write);
      return source && loaded(source, { width, height }, { width: times * size.width, height: times * size.height });
    },
  };
}
