/**
 * Anomalies (3.3.6): data-driven and composite triggers. Detectors look at a stream of searches and mark what they find. A result is
 * sent at once when a detector is sure, and when two that are not are of one mind; else at the end of the hour.
 */
import { afterCount, afterRecord, afterWatermark, job, tumbling, whenAll, whenAny } from 'millrace'
import { testSource } from 'millrace/testing'
import { anywhere, at, play } from './play.ts'

interface Search {
  readonly words: string
  readonly verdict: 'normal' | 'odd' | 'attack'
}

const search = (words: string, verdict: Search['verdict'], clock: string) => ({
  value: { words, verdict },
  timestampMs: at(clock),
})

const searches = testSource<Search>()
  .advanceTo(at('10:01'))
  .emit(search('a', 'normal', '10:01'))
  .advanceTo(at('10:02'))
  .emit(search('b', 'odd', '10:02'))
  .advanceTo(at('10:03'))
  .emit(search('c', 'attack', '10:03'))
  .advanceTo(at('10:04'))
  .emit(search('d', 'odd', '10:04'), search('e', 'normal', '10:04'), search('f', 'normal', '10:04'))
  .advanceTo(at('10:05'))
  .emit(search('g', 'normal', '10:05'))
  .advanceTo(at('11:01'))
  .watermark(at('11:00'))
  .end()

const sure = afterRecord((each: Search) => each.verdict === 'attack')
const ofOneMind = whenAll(
  afterRecord((each: Search) => each.verdict === 'odd'),
  afterCount(3),
)

await play(
  job('anomalies', (env) => {
    env
      .from('searches', searches)
      .keyBy(() => 'searches')
      .window(tumbling({ size: '1h' }), {
        trigger: afterWatermark({ early: whenAny(sure, ofOneMind) }),
        accumulation: 'discarding',
      })
      .count('searches-per-finding')
      .to('results', anywhere)
  }),
)

/* prints
10:03:00  searches 10:00:00-11:00:00 +3 early
10:04:00  searches 10:00:00-11:00:00 +3 early
11:01:00  searches 10:00:00-11:00:00 +1 on-time
*/
