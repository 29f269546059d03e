/**
 * Unaligned windows (3.3.2): sessions, the use case that the model began with. What a viewer does is one session as long as less than
 * half an hour lies between; a view that comes late may join two sessions into one, and what was said of them is taken back.
 */
import { afterWatermark, combine, count, job, session, sum } from 'millrace'
import { testSource } from 'millrace/testing'
import { anywhere, at, play } from './play.ts'

interface View {
  readonly viewer: string
  readonly seconds: number
}

const view = (viewer: string, clock: string, seconds: number) => ({
  value: { viewer, seconds },
  timestampMs: at(clock),
})

const views = testSource<View>()
  .advanceTo(at('10:00'))
  .emit(view('ann', '09:00', 60), view('bob', '09:10', 10), view('ann', '09:50', 90))
  .watermark(at('10:30'))
  .advanceTo(at('11:00'))
  // ann was offline when she saw this
  .emit(view('ann', '09:25', 300))
  .advanceTo(at('12:00'))
  .end()

await play(
  job('sessions', (env) => {
    env
      .from('views', views)
      .keyBy((each) => each.viewer)
      .window(session({ gap: '30min' }), {
        trigger: afterWatermark(),
        allowedLateness: '1d',
        accumulation: 'retracting',
      })
      .aggregate('sessions', combine({ views: count(), seconds: sum((each) => each.seconds) }))
      .to('results', anywhere)
  }),
)

/* prints
10:00:00  ann 09:00:00-09:30:00 +{"views":1,"seconds":60} on-time
10:00:00  bob 09:10:00-09:40:00 +{"views":1,"seconds":10} on-time
10:00:00  ann 09:50:00-10:20:00 +{"views":1,"seconds":90} on-time
11:00:00  ann 09:00:00-09:30:00 -{"views":1,"seconds":60} on-time
11:00:00  ann 09:50:00-10:20:00 -{"views":1,"seconds":90} on-time
11:00:00  ann 09:00:00-10:20:00 +{"views":3,"seconds":450} late
*/
