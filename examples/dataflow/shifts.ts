/**
 * A window function of one's own: the three shifts of a factory, 06:00 to 14:00, 14:00 to 22:00 and over midnight. `assign` is all it
 * takes; windows that are made of others would have a `merge` too.
 */
import { job } from 'millrace'
import type { TimeWindow, WindowFunction } from 'millrace'
import { testSource } from 'millrace/testing'
import { anywhere, at, play } from './play.ts'

const shifts: WindowFunction<unknown, TimeWindow> = {
  name: 'shifts',
  assign(_piece, timestampMs) {
    const shiftMs = at('08:00')
    const startMs = Math.floor((timestampMs - at('06:00')) / shiftMs) * shiftMs + at('06:00')
    return [{ startMs, endMs: startMs + shiftMs }]
  },
}

const pieces = testSource<string>()
  .emit({ value: 'press', timestampMs: at('05:59') })
  .emit({ value: 'press', timestampMs: at('13:00') }, { value: 'press', timestampMs: at('06:00') })
  .emit({ value: 'lathe', timestampMs: at('14:00') })
  .end()

await play(
  job('shifts', (env) => {
    env
      .from('pieces', pieces)
      .keyBy((machine) => machine)
      .window(shifts)
      .count('pieces-per-shift')
      .to('results', anywhere)
  }),
)

/* prints
00:00:00  press 22:00:00-06:00:00 +1 on-time
00:00:00  press 06:00:00-14:00:00 +2 on-time
00:00:00  lathe 14:00:00-22:00:00 +1 on-time
*/
