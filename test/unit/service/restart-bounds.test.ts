import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lastExitCodes } from '../../../src/cli/exit-codes.ts'
import { afterEnd } from '../../../src/service/restart-bounds.ts'
import type { EndFacts, RestartBounds } from '../../../src/service/restart-bounds.ts'

const bounds: RestartBounds = {
  restartsMax: 4,
  withinMs: 60_000,
  delayMs: 1_000,
  delayMaxMs: 5_000,
}

const crashed: EndFacts = {
  end: { code: 1, signal: null },
  lastCodes: lastExitCodes,
  stopSignal: undefined,
  killedCode: undefined,
  restartedAtMs: [],
  nowMs: 1_000_000,
}

test('what an end leads to', () => {
  const again = { kind: 'restart', delayMs: 1_000 }
  const over = (exitCode: number): object => ({ kind: 'end', exitCode, gaveUp: false })
  const table: readonly (readonly [string, Partial<EndFacts>, object])[] = [
    ['failed', { end: { code: 1, signal: null } }, again],
    ['killed', { end: { code: null, signal: 'SIGKILL' } }, again],
    ['a native abort', { end: { code: null, signal: 'SIGABRT' } }, again],
    ['an abort, told as a code', { end: { code: 134, signal: null } }, again],
    ['SIGTERM that did not come from here', { end: { code: 143, signal: null } }, again],
    ['finished', { end: { code: 0, signal: null } }, over(0)],
    ['wrong command line', { end: { code: 2, signal: null } }, over(2)],
    ['wrong job', { end: { code: 3, signal: null } }, over(3)],
    ['cancelled', { end: { code: 5, signal: null } }, over(5)],
    ['failed while it stopped', { stopSignal: 'SIGTERM' }, over(1)],
    [
      'crashed while it stopped',
      { stopSignal: 'SIGTERM', end: { code: null, signal: 'SIGSEGV' } },
      over(139),
    ],
    [
      'not begun when it was told to stop',
      { stopSignal: 'SIGTERM', end: { code: null, signal: 'SIGTERM' } },
      over(0),
    ],
    [
      'killed at the deadline',
      { stopSignal: 'SIGTERM', killedCode: 6, end: { code: null, signal: 'SIGKILL' } },
      over(6),
    ],
  ]

  for (const [name, facts, expected] of table) {
    assert.deepEqual(afterEnd({ ...crashed, ...facts }, bounds), expected, name)
  }
})

test('delays double up to the longest; after so many restarts it gives up with the code of the crash', () => {
  const restartedAtMs: number[] = []
  const delays: number[] = []
  let nowMs = 1_000_000

  let decision = afterEnd({ ...crashed, restartedAtMs, nowMs }, bounds)
  while (decision.kind === 'restart') {
    delays.push(decision.delayMs)
    nowMs += decision.delayMs
    restartedAtMs.push(nowMs)
    decision = afterEnd({ ...crashed, restartedAtMs, nowMs }, bounds)
  }
  const bySignal = afterEnd(
    { ...crashed, restartedAtMs, nowMs, end: { code: null, signal: 'SIGKILL' } },
    bounds,
  )

  assert.deepEqual(delays, [1_000, 2_000, 4_000, 5_000])
  assert.deepEqual(decision, { kind: 'end', exitCode: 1, gaveUp: true })
  assert.deepEqual(bySignal, { kind: 'end', exitCode: 137, gaveUp: true })
})

test('restarts that are long ago count no more', () => {
  const restartedAtMs = [900_000, 910_000, 920_000, 999_000]

  const decision = afterEnd({ ...crashed, restartedAtMs }, bounds)

  assert.deepEqual(decision, { kind: 'restart', delayMs: 2_000 })
})
