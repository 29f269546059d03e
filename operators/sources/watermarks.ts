/** How the watermark follows the records of a split. A watermark t says: no more records with a timestamp of t or less. */
import type { WatermarkGenerator, WatermarkStrategy } from '../../src/contract/source.ts'
import type { Duration } from '../../src/core/duration.ts'
import { formatMs, ms } from '../../src/core/duration.ts'
import { EngineError } from '../../src/core/errors.ts'

/** Timestamps never go back within a split. */
export function monotonous(): WatermarkStrategy {
  return { name: 'monotonous', open: () => highestMinus(1) }
}

/**
 * Records are at most `delay` older than the newest of their split.
 *
 * @example
 * env.from('views', source, { timestampMs: (view) => view.atMs, watermarks: outOfOrder({ delay: '3s' }) })
 */
export function outOfOrder(options: { readonly delay: Duration }): WatermarkStrategy {
  const delayMs = ms(options.delay)
  if (delayMs < 0) {
    throw new EngineError(
      'OPTION_INVALID',
      `outOfOrder: delay must not be negative, but is '${options.delay}'`,
    )
  }
  return { name: `outOfOrder ${formatMs(delayMs)}`, open: () => highestMinus(delayMs + 1) }
}

/** A generator per split. `advance` returns the watermark in ms, or undefined to leave it where it is. */
export function customWatermarks<T>(
  open: () => { advance(value: T, timestampMs: number): number | undefined },
): WatermarkStrategy<T> {
  return {
    name: 'custom',
    open() {
      const generator = open()
      let watermarkMs = -Infinity
      return {
        advance({ values, timestamps, count }) {
          for (let row = 0; row < count; row++) {
            const next = generator.advance(values[row] as T, timestamps[row] as number)
            if (next !== undefined && next > watermarkMs) watermarkMs = next
          }
          return watermarkMs
        },
      }
    },
  }
}

function highestMinus(distanceMs: number): WatermarkGenerator {
  let highestMs = -Infinity
  return {
    advance({ timestamps, count }) {
      for (let row = 0; row < count; row++) {
        const timestampMs = timestamps[row] as number
        if (timestampMs > highestMs) highestMs = timestampMs
      }
      return highestMs - distanceMs
    },
  }
}
