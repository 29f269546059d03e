/**
 * A job through which a value of every kind of the value model goes: made by the source, sent between subtasks, kept in value, list and
 * map state, read again two rounds later, and put out as text that shows all that can be told of it.
 */
import { generate, job, listState, mapState, type, valueState } from 'millrace'
import type { Job } from 'millrace'
import { fileSink } from '../../../operators/files/index.ts'
import { text } from '../../../operators/formats/text.ts'
import { encodeValue } from '../../../src/core/value-codec.ts'

/** Each is made anew for each record: nothing is shared. */
export const KINDS: readonly (() => unknown)[] = [
  () => null,
  () => undefined,
  () => true,
  () => false,
  () => 0,
  () => -0,
  () => NaN,
  () => Infinity,
  () => -Infinity,
  () => 2 ** 53 + 2,
  () => Number.MIN_VALUE,
  () => 0n,
  () => -1n,
  () => 2n ** 64n,
  () => -(3n ** 400n),
  () => '',
  () => 'a \u0000 null, a pair \ud83d\ude00',
  () => 'a lone \ud800 surrogate',
  () => 'é'.repeat(70_000),
  () => new Date(0),
  () => new Date(-8.64e15),
  () => new Date(NaN),
  () => new Uint8Array([1, 2, 255]),
  () => new Uint8Array([9, 1, 2, 9]).subarray(1, 3),
  () => new Uint8ClampedArray([300, 2]),
  () => new Int8Array([-1]),
  () => new Int16Array([-2]),
  () => new Uint16Array([65_535]),
  () => new Int32Array([-(2 ** 31)]),
  () => new Uint32Array([2 ** 32 - 1]),
  () => new Float32Array([0.1, NaN]),
  () => new Float64Array([-0, 0.1]),
  () => new BigInt64Array([-(2n ** 63n)]),
  () => new BigUint64Array([2n ** 64n - 1n]),
  () =>
    new Map<unknown, unknown>([
      ['a', 1],
      [-0, undefined],
      [{ k: 1 }, new Set([1])],
    ]),
  () => new Map(),
  () => new Set<unknown>(['a', 1, 1n, null]),
  () => [],
  () => [undefined, null, -0, [1, [2n]]],
  () => ({}),
  () => ({ b: undefined, a: -0, '0': 'first', nested: { date: new Date(5), big: 10n } }),
  () => ({ constructor: 1, toString: 'x', valueOf: null }),
]

export interface KindsParams {
  readonly output: string
  readonly recordsPerSecond: number
}

interface Given {
  readonly round: number
  readonly kind: number
  readonly value: unknown
}

const ROUNDS = 4

const kindsJob: Job<KindsParams> = job('kinds', { params: type<KindsParams>() }, (env) => {
  const { output, recordsPerSecond } = env.params
  env
    .from(
      'values',
      generate({
        count: KINDS.length * ROUNDS,
        recordsPerSecond,
        record: (index): Given => ({
          round: Math.floor(index / KINDS.length),
          kind: index % KINDS.length,
          value: KINDS[index % KINDS.length]?.(),
        }),
      }),
      { parallelism: 1 },
    )
    .rebalance()
    .map((given) => given, { chain: 'start' })
    .keyBy(({ kind, round }) => [kind, round % 2 === 0] as const)
    .process(
      'keep',
      {
        emits: type<Given & { readonly from: string }>(),
        state: {
          last: valueState<{ readonly value: unknown }>(),
          bare: valueState<unknown>(),
          all: listState<unknown>(),
          byRound: mapState<number, unknown>(),
        },
      },
      ({ state, emit }) => ({
        onRecord({ round, kind, value }) {
          emit({ round, kind, value, from: 'record' })
          const last = state.last.get()
          if (last !== undefined) emit({ round, kind, value: last.value, from: 'value' })
          if (round >= 2) emit({ round, kind, value: state.bare.get(), from: 'bare' })
          for (const each of state.all.values()) emit({ round, kind, value: each, from: 'list' })
          for (const [, each] of state.byRound.entries()) {
            emit({ round, kind, value: each, from: 'map' })
          }
          state.last.set({ value })
          state.bare.set(value)
          state.all.add(value)
          state.byRound.set(round, value)
        },
      }),
    )
    .rebalance()
    .map(({ round, kind, value, from }) => rowOf({ round, kind, value }, from))
    .to('rows', fileSink({ directory: output, format: text() }))
})
export default kindsJob

/** What must come out. Round r of a kind finds what round r - 2 left. */
export function expectedRows(): string[] {
  const rows: string[] = []
  for (let round = 0; round < ROUNDS; round++) {
    for (const [kind, make] of KINDS.entries()) {
      const row = (from: string): string => rowOf({ round, kind, value: make() }, from)
      rows.push(row('record'))
      if (round < 2) continue
      rows.push(row('value'), row('bare'), row('list'), row('map'))
    }
  }
  return rows
}

/** The canonical encoding keeps all of a value apart (test/unit/core/value-codec.test.ts); long ones are cut, with their length. */
function rowOf({ round, kind, value }: Given, from: string): string {
  const hex = Buffer.from(encodeValue(value)).toString('hex')
  return `${from} ${round} ${kind} ${hex.length} ${hex.slice(0, 200)} ${hex.slice(-40)}`
}
