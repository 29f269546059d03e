/** What `kafka-consumer-perf-test.sh` prints: a line of names and one of figures, which are told by their names. Pure. */
import type { Outcome } from '../comparison/contest.ts'
import type { ProgramRun } from '../comparison/engine-run.ts'

/**
 * `fetch.time.ms` is the time without joining the group: from the first record to the last. The checksum is the bytes of all records, from
 * megabytes with four digits, so to a hundred bytes.
 */
export function perfToolOutcome({ stdout, cpuSeconds }: ProgramRun): Outcome {
  const lines = stdout.split('\n').map((line) => line.split(',').map((field) => field.trim()))
  const header = lines.findIndex((fields) => fields.includes('fetch.time.ms'))
  const figures = lines[header + 1]
  if (header < 0 || figures === undefined) {
    throw new Error(`The perf tool printed no figures: ${stdout.slice(-500)}`)
  }
  const figure = (name: string): number => Number(figures[lines[header]?.indexOf(name) ?? -1])
  const rows = figure('data.consumed.in.nMsg')
  const seconds = figure('fetch.time.ms') / 1000
  const checksum = Math.round((figure('data.consumed.in.MB') * 1024 * 1024) / 100) * 100
  return { seconds, eventsPerSecond: Math.round(rows / seconds), rows, checksum, cpuSeconds }
}
