/**
 * What the examples of this folder have in common: times of day, a sink, and a job that is played under its script and prints each
 * pane it sends.
 */
import { mapSink } from 'millrace'
import type { ChangeKind, Job, Sink } from 'millrace'
import { runTest } from 'millrace/testing'

/** A time of day of the first of January 1970, UTC. */
export function at(clock: string): number {
  const [hours = 0, minutes = 0, seconds = 0] = clock.split(':').map(Number)
  return ((hours * 60 + minutes) * 60 + seconds) * 1000
}

/** A job needs a sink; what these jobs send is printed where it is sent. */
export const anywhere: Sink<unknown, ChangeKind> = mapSink(new Map<number, unknown>(), () => 0)

/** When a pane came, whose and of which window it is, and what it holds; a minus where it is taken back. */
export async function play(job: Job): Promise<void> {
  const { panes, lateRecords } = await runTest(job)
  for (const { processingTimeMs, kind, result } of panes) {
    const { key, window, pane, value } = result
    const bounds = `${clockOf(window.startMs)}-${clockOf(window.endMs)}`
    const sign = kind === 'retract' ? '-' : '+'
    console.log(
      `${clockOf(processingTimeMs)}  ${String(key)} ${bounds} ${sign}${JSON.stringify(value)} ${pane.timing}`,
    )
  }
  if (lateRecords > 0) console.log(`${lateRecords} late`)
}

function clockOf(timeMs: number): string {
  return new Date(timeMs).toISOString().slice(11, 19)
}
