/**
 * Sums up hashes, exactly once: what a subtask has summed in an epoch is committed with its checkpoint into a file of its own. Two
 * numbers an epoch, so that the sink costs a query nothing.
 */
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Sink } from 'millrace'

/** Rows and the sum of their hashes. */
export interface Checksum {
  readonly rows: number
  readonly checksum: number
}

const DIRECTORY_VARIABLE = 'MILLRACE_BENCH_OUTPUT'

export function checksumSink(): Sink<number> {
  return {
    type: 'checksum',
    open({ subtaskIndex, attempt }) {
      const directory = process.env[DIRECTORY_VARIABLE] ?? '.'
      mkdirSync(directory, { recursive: true })
      let rows = 0
      let checksum = 0
      return {
        write(hash) {
          rows += 1
          checksum = (checksum + (hash as number)) >>> 0
        },
        prepare(checkpointId) {
          if (rows === 0) return {}
          const committable = { name: `${attempt}-${subtaskIndex}-${checkpointId}`, rows, checksum }
          rows = 0
          checksum = 0
          return { committable }
        },
        async commit({ data }) {
          const { name, ...sums } = data as Checksum & { readonly name: string }
          writeFileSync(join(directory, name), JSON.stringify(sums))
        },
      }
    },
  }
}

/** What all subtasks and epochs have committed. */
export function readChecksum(directory: string): Checksum {
  let rows = 0
  let checksum = 0
  for (const name of readdirSync(directory)) {
    const part = JSON.parse(readFileSync(join(directory, name), 'utf8')) as Checksum
    rows += part.rows
    checksum = (checksum + part.checksum) >>> 0
  }
  return { rows, checksum }
}
