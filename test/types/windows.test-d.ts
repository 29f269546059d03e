/**
 * What the compiler must infer of windows, and what it must refuse. Checked by `tsc`; nothing runs.
 * Each `@ts-expect-error` stands directly above the one line it is about.
 */
import {
  afterCount,
  afterDelay,
  afterRecord,
  afterWatermark,
  arraySink,
  every,
  inSequence,
  job,
  repeated,
  session,
  tumbling,
  type,
  whenAny,
} from 'millrace'
import type {
  ChangeKind,
  DataStream,
  Job,
  KeyedStream,
  MultiStream,
  Sink,
  TimeWindow,
  Trigger,
  WindowResult,
} from 'millrace'
import { expectTypeOf } from 'expect-type'

interface View {
  readonly page: string
  readonly bytes: number
}
declare const views: DataStream<View>
declare const changing: DataStream<View, ChangeKind>
declare const keyed: KeyedStream<string, View>
declare const table: Sink<unknown, ChangeKind>
const minute = tumbling({ size: '1min' })

export const types: Job = job('types', () => {
  type Counts<C extends ChangeKind> = MultiStream<
    WindowResult<string, TimeWindow, number>,
    { late: View },
    C
  >

  // one pane needs no options
  expectTypeOf(keyed.window(minute).count('a')).toEqualTypeOf<Counts<'insert'>>()
  expectTypeOf(keyed.window(minute, {}).count('b')).toEqualTypeOf<Counts<'insert'>>()

  // whoever asks for several says how they relate
  // @ts-expect-error accumulation is missing
  keyed.window(minute, { allowedLateness: '1h' })
  // @ts-expect-error accumulation is missing
  keyed.window(minute, { trigger: afterCount(1) })
  // @ts-expect-error accumulation is missing
  keyed.window(minute, { onTimePane: 'always' })
  // @ts-expect-error no such accumulation
  keyed.window(minute, { trigger: afterCount(1), accumulation: 'adding' })
  // @ts-expect-error a length of time has a unit
  keyed.window(minute, { allowedLateness: 3600, accumulation: 'discarding' })

  // only retracting brings retractions into the stream
  const trigger = afterWatermark({ early: every('1min'), late: afterCount(1) })
  const discarding = keyed.window(minute, { trigger, accumulation: 'discarding' }).count('c')
  expectTypeOf(discarding).toEqualTypeOf<Counts<'insert'>>()
  const accumulating = keyed.window(minute, { trigger, accumulation: 'accumulating' }).count('d')
  expectTypeOf(accumulating).toEqualTypeOf<Counts<'insert'>>()
  const retracting = keyed.window(minute, { trigger, accumulation: 'retracting' }).count('e')
  expectTypeOf(retracting).toEqualTypeOf<Counts<'insert' | 'retract'>>()
  expectTypeOf(
    changing
      .keyBy(({ page }) => page)
      .window(minute)
      .count('f'),
  ).toEqualTypeOf<Counts<ChangeKind>>()
  expectTypeOf(
    views.windowAll(session({ gap: '1min' }), { accumulation: 'retracting' }).count('g'),
  ).toEqualTypeOf<MultiStream<WindowResult<null, TimeWindow, number>, { late: View }, ChangeKind>>()

  // a sink that only appends takes no retractions, one that takes them takes all
  accumulating.to('h', arraySink<unknown>([]))
  retracting.to('i', table)
  accumulating.to('j', table)
  // @ts-expect-error retractions
  retracting.to('k', arraySink<unknown>([]))

  // a function of all rows can't be taken back
  const rows = { emits: type<string>() }
  keyed.window(minute, { trigger, accumulation: 'accumulating' }).process('l', rows, () => ({
    onPane(of, { pane, key, window }) {
      expectTypeOf(of).toEqualTypeOf<Iterable<View>>()
      expectTypeOf(pane.timing).toEqualTypeOf<'early' | 'on-time' | 'late'>()
      expectTypeOf(key).toEqualTypeOf<string>()
      expectTypeOf(window).toEqualTypeOf<TimeWindow>()
    },
  }))
  const taken = keyed.window(minute, { trigger, accumulation: 'retracting' })
  // @ts-expect-error what it emits can't be taken back
  taken.process('m', rows, () => ({ onPane() {} }))

  // triggers of records know what records are, and those of anything fit everywhere
  keyed.window(minute, {
    trigger: repeated(
      afterRecord(({ bytes }) => bytes > 0),
      { until: afterDelay('1s') },
    ),
    accumulation: 'discarding',
  })
  keyed.window(minute, {
    trigger: inSequence(
      afterRecord(({ page }: View) => page === ''),
      afterCount(2),
    ),
    accumulation: 'discarding',
  })
  expectTypeOf(whenAny(afterCount(1), afterDelay('1s'))).toExtend<Trigger<View>>()
  const ofOthers = afterRecord((other: { readonly user: number }) => other.user > 0)
  // @ts-expect-error of other records
  keyed.window(minute, { trigger: ofOthers, accumulation: 'discarding' })
})
