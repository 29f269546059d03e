/** A running count per key, as in the query `count`, that tells when results first come, and fails once when it is told to. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generate, job, outOfOrder, type } from 'millrace'
import type { Job, Sink } from 'millrace'
import { DELAY_MS, auctionEvent, random } from '../../examples/auction/events.ts'
import { wallMs } from '../latency/paced-source.ts'

export interface RestoreParams {
  readonly keys: number
  /** Where first results and the failure leave their times. */
  readonly directory: string
}

/** A file of this name in the directory asks for the failure. */
export const ARMED = 'armed'
/** Has the time of the failure, once it has happened. */
export const FAILED = 'failed'
/** Begins the names of files with the time of a subtask's first result. */
export const FIRST = 'first-'

/** Records between two looks for the file. */
const RECORDS_PER_LOOK = 1024

const restore: Job<RestoreParams> = job('restore', { params: type<RestoreParams>() }, (env) => {
  const { keys, directory } = env.params
  env
    .from(
      'events',
      generate({
        record: (index) => ({ key: random(index, 12) % keys, event: auctionEvent(index) }),
      }),
      {
        timestampMs: ({ event }) => event.dateTime,
        watermarks: outOfOrder({ delay: `${DELAY_MS}ms` }),
      },
    )
    .map(failOnce(directory))
    .keyBy(({ key }) => key)
    .count('events-per-key')
    .map(({ key, value }) => key + value)
    .to('first', firstResults(directory))
})
export default restore

/** Hands records on, and throws once, in one subtask. */
function failOnce<T>(directory: string): (record: T) => T {
  let [isOver, count] = [false, 0]
  return (record) => {
    count += 1
    if (isOver || count % RECORDS_PER_LOOK !== 0 || !existsSync(join(directory, ARMED))) {
      return record
    }
    isOver = true
    try {
      writeFileSync(join(directory, FAILED), String(wallMs()), { flag: 'wx' })
    } catch {
      // another subtask was first, or it was before the restart
      return record
    }
    throw new Error('The failure that was asked for')
  }
}

function firstResults(directory: string): Sink<number> {
  return {
    type: 'first-results',
    open({ attempt, subtaskIndex }) {
      let isFirst = true
      return {
        write() {
          if (!isFirst) return
          isFirst = false
          writeFileSync(join(directory, `${FIRST}${attempt}-${subtaskIndex}`), String(wallMs()))
        },
      }
    },
  }
}
