/** Scripts for the calibration of the model: what the sink relies on, one thing each, and random ones. */
import fc from 'fast-check'
import type { Script, Step } from './transaction-script.ts'

/** By what they show. */
export const scripts: Readonly<Record<string, Script>> = {
  'a transaction is committed': [
    ...opened('a', 0),
    { do: 'look' },
    { do: 'end', as: 'a', isCommit: true, next: 'b' },
    { do: 'look' },
  ],
  'a transaction is aborted': [
    ...opened('a', 0),
    { do: 'end', as: 'a', isCommit: false, next: 'b' },
    { do: 'look' },
  ],
  'a commit is repeated, and then undone': [
    ...opened('a', 0),
    { do: 'end', as: 'a', isCommit: true, next: 'b' },
    { do: 'end', as: 'a', isCommit: true, next: 'c' },
    { do: 'end', as: 'a', isCommit: false, next: 'd' },
    { do: 'look' },
  ],
  'an abort is repeated, and then committed': [
    ...opened('a', 0),
    { do: 'end', as: 'a', isCommit: false, next: 'b' },
    { do: 'end', as: 'a', isCommit: false, next: 'c' },
    { do: 'end', as: 'a', isCommit: true, next: 'd' },
    { do: 'look' },
  ],
  'a new owner aborts what is open; the former commits too late': [
    ...opened('a', 0),
    { do: 'init', id: 0, as: 'b' },
    { do: 'end', as: 'a', isCommit: true },
    { do: 'produce', as: 'a', partition: 0, sequence: 2, values: ['late'] },
    { do: 'mark', as: 'a', offset: 9 },
    { do: 'look' },
  ],
  'a new owner after a commit; the former repeats it': [
    ...opened('a', 0),
    { do: 'end', as: 'a', isCommit: true, next: 'n' },
    { do: 'init', id: 0, as: 'b' },
    { do: 'end', as: 'a', isCommit: true, next: 'm' },
    { do: 'add', as: 'n', partition: 0 },
    { do: 'look' },
  ],
  'the next transaction, by the identity that was answered': [
    ...opened('a', 0),
    { do: 'end', as: 'a', isCommit: true },
    { do: 'add', as: 'a', partition: 1 },
    { do: 'produce', as: 'a', partition: 1, sequence: 0, values: ['x'] },
    { do: 'add group', as: 'a' },
    { do: 'mark', as: 'a', offset: 7 },
    { do: 'end', as: 'a', isCommit: true },
    { do: 'look' },
  ],
  'a zombie writes and commits by a former identity': [
    ...opened('a', 0),
    { do: 'end', as: 'a', isCommit: true, next: 'b' },
    { do: 'add', as: 'a', partition: 1 },
    { do: 'produce', as: 'a', partition: 1, sequence: 0, values: ['zombie'] },
    { do: 'add group', as: 'a' },
    { do: 'mark', as: 'a', offset: 9 },
    { do: 'end', as: 'a', isCommit: true, next: 'c' },
    { do: 'look' },
  ],
  'timed out, and committed afterwards': [
    ...opened('a', 0, 500),
    { do: 'time out', id: 0 },
    { do: 'end', as: 'a', isCommit: true },
    { do: 'look' },
    { do: 'end', as: 'a', isCommit: false },
    { do: 'init', id: 0, as: 'b' },
    { do: 'end', as: 'a', isCommit: true },
    { do: 'look' },
  ],
  'timed out, and written to afterwards': [
    ...opened('a', 0, 500),
    { do: 'time out', id: 0 },
    { do: 'add', as: 'a', partition: 1 },
    { do: 'produce', as: 'a', partition: 0, sequence: 2, values: ['late'] },
    { do: 'mark', as: 'a', offset: 8 },
    { do: 'look' },
  ],
  'nothing in a transaction': [
    { do: 'init', id: 0, as: 'a' },
    { do: 'end', as: 'a', isCommit: true },
    { do: 'end', as: 'a', isCommit: false },
    { do: 'end', as: 'a', isCommit: true },
    { do: 'look' },
  ],
  'what was never added is refused': [
    { do: 'init', id: 0, as: 'a' },
    { do: 'produce', as: 'a', partition: 0, sequence: 0, values: ['x'] },
    { do: 'mark', as: 'a', offset: 1 },
    { do: 'add', as: 'a', partition: 0 },
    { do: 'produce', as: 'a', partition: 1, sequence: 0, values: ['y'] },
    { do: 'mark', as: 'a', offset: 2 },
    { do: 'produce', as: 'a', partition: 0, sequence: 0, values: ['z'] },
    { do: 'end', as: 'a', isCommit: true },
    { do: 'look' },
  ],
  'sequence numbers: a repetition, a gap, an old one': [
    { do: 'init', id: 0, as: 'a' },
    { do: 'add', as: 'a', partition: 0 },
    { do: 'produce', as: 'a', partition: 0, sequence: 0, values: ['a', 'b'] },
    { do: 'produce', as: 'a', partition: 0, sequence: 0, values: ['a', 'b'] },
    { do: 'produce', as: 'a', partition: 0, sequence: 3, values: ['gap'] },
    { do: 'produce', as: 'a', partition: 0, sequence: 0, values: ['other'] },
    { do: 'produce', as: 'a', partition: 0, sequence: 2, values: ['c'] },
    { do: 'end', as: 'a', isCommit: true },
    { do: 'look' },
  ],
  'sequence numbers begin anew with the next transaction, or do not': [
    { do: 'init', id: 0, as: 'a' },
    { do: 'add', as: 'a', partition: 0 },
    { do: 'produce', as: 'a', partition: 0, sequence: 0, values: ['a'] },
    { do: 'end', as: 'a', isCommit: true },
    { do: 'add', as: 'a', partition: 0 },
    { do: 'produce', as: 'a', partition: 0, sequence: 0, values: ['a'] },
    { do: 'produce', as: 'a', partition: 0, sequence: 1, values: ['b'] },
    { do: 'end', as: 'a', isCommit: true },
    { do: 'look' },
  ],
  'a batch of a committed transaction is repeated': [
    ...opened('a', 0),
    { do: 'end', as: 'a', isCommit: true, next: 'b' },
    { do: 'produce', as: 'a', partition: 0, sequence: 0, values: ['a1', 'a2'] },
    { do: 'look' },
  ],
  'an epoch that was never given': [
    ...opened('a', 0),
    { do: 'add', as: 'a', epochShift: 1, partition: 1 },
    { do: 'produce', as: 'a', epochShift: 1, partition: 0, sequence: 0, values: ['x'] },
    { do: 'end', as: 'a', epochShift: 1, isCommit: true },
    { do: 'end', as: 'a', epochShift: -1, isCommit: true },
    { do: 'look' },
  ],
  'an identity that was never given': [
    { do: 'add', as: 'nobody', partition: 0 },
    { do: 'end', as: 'nobody', isCommit: true },
    { do: 'produce', as: 'nobody', partition: 0, sequence: 0, values: ['x'] },
    { do: 'look' },
  ],
  'two ids, one partition: the older holds up readers': [
    ...opened('a', 0),
    ...opened('b', 1),
    { do: 'end', as: 'b', isCommit: true },
    { do: 'look' },
    { do: 'end', as: 'a', isCommit: false },
    { do: 'look' },
  ],
  'two markers: the one that was written last counts, whichever is committed first': [
    ...opened('a', 0),
    ...opened('b', 1),
    { do: 'look' },
    { do: 'end', as: 'b', isCommit: true },
    { do: 'look' },
    { do: 'end', as: 'a', isCommit: true },
    { do: 'look' },
  ],
  'an offset that is committed beside a transaction': [
    { do: 'commit offset', offset: 3 },
    ...opened('a', 0),
    { do: 'look' },
    { do: 'commit offset', offset: 4 },
    { do: 'end', as: 'a', isCommit: true },
    { do: 'look' },
  ],
  'two owners in a row, nothing in between': [
    { do: 'init', id: 0, as: 'a' },
    { do: 'init', id: 0, as: 'b' },
    { do: 'add', as: 'a', partition: 0 },
    { do: 'end', as: 'a', isCommit: false },
    { do: 'end', as: 'b', isCommit: false },
    { do: 'init', id: 0, as: 'c' },
    { do: 'look' },
  ],
  'time-outs that are not allowed': [
    { do: 'init', id: 0, as: 'a', timeoutMs: 900_001 },
    { do: 'init', id: 0, as: 'a', timeoutMs: 0 },
    { do: 'look' },
  ],
}

/** A transaction with two records, a marker, and its id. */
function opened(as: string, id: number, timeoutMs?: number): Step[] {
  return [
    { do: 'init', id, as, ...(timeoutMs === undefined ? {} : { timeoutMs }) },
    { do: 'add', as, partition: 0 },
    { do: 'produce', as, partition: 0, sequence: 0, values: [`${as}1`, `${as}2`] },
    { do: 'add group', as },
    { do: 'mark', as, offset: id + 5 },
  ]
}

const partition = fc.nat({ max: 1 })
const as = fc.constantFrom('a', 'b', 'c')
const epochShift = fc.constantFrom(0, 0, 0, 0, 0, -1, 1)
const who = fc.record({ as, epochShift })

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('init'), id: fc.nat({ max: 1 }), as }) },
  {
    weight: 4,
    arbitrary: fc.tuple(who, partition).map(([by, at]) => ({ do: 'add', ...by, partition: at })),
  },
  {
    weight: 6,
    arbitrary: fc
      .tuple(who, partition, fc.constantFrom(0, 0, 1, 2), fc.nat({ max: 99 }))
      .map(([by, at, sequence, value]) => ({
        do: 'produce',
        ...by,
        partition: at,
        sequence,
        values: [`v${value}`],
      })),
  },
  { weight: 2, arbitrary: who.map((by) => ({ do: 'add group', ...by })) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(who, fc.nat({ max: 9 }))
      .map(([by, offset]) => ({ do: 'mark', ...by, offset })),
  },
  {
    weight: 4,
    arbitrary: fc
      .tuple(who, fc.boolean(), as)
      .map(([by, isCommit, next]) => ({ do: 'end', ...by, isCommit, next })),
  },
  { weight: 1, arbitrary: fc.nat({ max: 9 }).map((offset) => ({ do: 'commit offset', offset })) },
  { weight: 2, arbitrary: fc.constant({ do: 'look' }) },
) as fc.Arbitrary<Step>

/** Always the same ones for a seed. Each begins with two owners and ends with a look. */
export function randomScripts(seed: number, count: number): Script[] {
  const steps = fc.array(step, { minLength: 6, maxLength: 24 })
  return fc
    .sample(steps, { seed, numRuns: count })
    .map((middle) => [
      { do: 'init', id: 0, as: 'a' },
      { do: 'init', id: 1, as: 'b' },
      ...middle,
      { do: 'look' },
    ])
}
