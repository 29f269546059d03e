/** The arithmetic of slices: pieces of time that no window of an aligned window function begins or ends within. Pure. */
import type { AlignedWindows } from '../../src/contract/window.ts'

/** The length of a slice: no window begins or ends within one. */
export function sliceMsOf({ sizeMs, everyMs }: AlignedWindows): number {
  let a = sizeMs
  let b = everyMs
  while (b !== 0) [a, b] = [b, a % b]
  return a
}

/** The beginning of the slice that a time is in; it names the slice. */
export function sliceStart(timeMs: number, sliceMs: number, { offsetMs }: AlignedWindows): number {
  return Math.floor((timeMs - offsetMs) / sliceMs) * sliceMs + offsetMs
}

/** The end of the last window that has the slice in it; no later than its beginning where no window has it. */
export function lastWindowEnd(slice: number, aligned: AlignedWindows): number {
  const { sizeMs, everyMs, offsetMs } = aligned
  return Math.floor((slice - offsetMs) / everyMs) * everyMs + offsetMs + sizeMs
}

/** The end of the first window with the slice in it that ends after `afterMs`; later than `lastWindowEnd` where there is none. */
export function firstEndAfter(
  afterMs: number,
  slice: number,
  sliceMs: number,
  { sizeMs, everyMs, offsetMs }: AlignedWindows,
): number {
  const firstEnd =
    Math.ceil((slice + sliceMs - offsetMs - sizeMs) / everyMs) * everyMs + offsetMs + sizeMs
  if (firstEnd > afterMs) return firstEnd
  return firstEnd + (Math.floor((afterMs - firstEnd) / everyMs) + 1) * everyMs
}
