/**
 * Recommendations (3.3.5): processing-time triggers. What a user is interested in is wanted every minute while the session goes on, from
 * what has come so far; that a few records hold the watermark back for hours does not matter.
 */
import { every, job, repeated, session, top } from 'millrace'
import { testSource } from 'millrace/testing'
import { anywhere, at, play } from './play.ts'

interface Visit {
  readonly user: string
  readonly topic: string
  readonly weight: number
}

const visit = (user: string, clock: string, topic: string, weight: number) => ({
  value: { user, topic, weight },
  timestampMs: at(clock),
})

const visits = testSource<Visit>()
  .advanceTo(at('10:00:10'))
  .emit(visit('ann', '10:00:05', 'boats', 1))
  .advanceTo(at('10:00:40'))
  .emit(visit('ann', '10:00:35', 'trains', 5), visit('bob', '10:00:10', 'birds', 2))
  .advanceTo(at('10:02:20'))
  .emit(visit('ann', '10:01:50', 'boats', 9))
  .advanceTo(at('10:10'))

await play(
  job('recommendations', (env) => {
    env
      .from('visits', visits)
      .keyBy((each) => each.user)
      .window(session({ gap: '10min' }), {
        trigger: repeated(every('1min', { aligned: true })),
        accumulation: 'accumulating',
      })
      .aggregate(
        'interests',
        top(1, (each) => each.weight),
      )
      .to('results', anywhere)
  }),
)

/* prints
10:01:00  ann 10:00:05-10:10:35 +[{"user":"ann","topic":"trains","weight":5}] early
10:01:00  bob 10:00:10-10:10:10 +[{"user":"bob","topic":"birds","weight":2}] early
10:03:00  ann 10:00:05-10:11:50 +[{"user":"ann","topic":"boats","weight":9}] early
*/
