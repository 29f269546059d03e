/** What the compiler infers of streams whose rows may be taken back, and what it refuses. Checked by `tsc`; nothing runs. */
import { arraySink, json, mapSink, session, tumbling } from 'millrace'
import type {
  Change,
  ChangeKind,
  DataStream,
  KeyedResult,
  KeyedStream,
  MultiStream,
  Sink,
  TimeWindow,
  WindowResult,
} from 'millrace'
import { kafkaSink, kafkaTableSink } from 'millrace/kafka'
import { expectTypeOf } from 'expect-type'

interface View {
  readonly page: string
  readonly user: number
}

export function changesInTypes(
  views: DataStream<View>,
  byPage: KeyedStream<string, View>,
  counts: DataStream<KeyedResult<string, number>, ChangeKind>,
  brokers: readonly string[],
): void {
  const table = views.asTable()
  expectTypeOf(table).toEqualTypeOf<DataStream<View, ChangeKind>>()
  expectTypeOf(table.map(({ page }) => page)).toEqualTypeOf<DataStream<string, ChangeKind>>()
  expectTypeOf(table.filter(() => true)).toEqualTypeOf<DataStream<View, ChangeKind>>()
  expectTypeOf(views.union(table)).toEqualTypeOf<DataStream<View, ChangeKind>>()
  expectTypeOf(table.keyBy(({ page }) => page).count('c')).toEqualTypeOf<
    DataStream<KeyedResult<string, number>, ChangeKind>
  >()
  expectTypeOf(counts.changes()).toEqualTypeOf<DataStream<Change<KeyedResult<string, number>>>>()
  const asChanges: DataStream<View, ChangeKind> = views
  void asChanges
  // @ts-expect-error a stream whose rows may be taken back is none of rows that stay
  const asRows: DataStream<View> = table
  void asRows

  const retracting = byPage
    .window(tumbling({ size: '1min' }), { allowedLateness: '1h', accumulation: 'retracting' })
    .count('w')
  expectTypeOf(retracting).toEqualTypeOf<
    MultiStream<WindowResult<string, TimeWindow, number>, { late: View }, ChangeKind>
  >()
  expectTypeOf(retracting.keyBy(({ value }) => value).count('again')).toEqualTypeOf<
    DataStream<KeyedResult<number, number>, ChangeKind>
  >()
  expectTypeOf(
    byPage
      .window(session({ gap: '1s' }), { allowedLateness: '1h', accumulation: 'accumulating' })
      .count('w'),
  ).toEqualTypeOf<MultiStream<WindowResult<string, TimeWindow, number>, { late: View }>>()

  // joins
  const keyedTable = table.keyBy(({ page }) => page)
  expectTypeOf(
    byPage.join('j', byPage, {}, (left, right): [View, View] => [left, right]),
  ).toEqualTypeOf<DataStream<[View, View]>>()
  expectTypeOf(byPage.join('j', keyedTable, {}, (left) => left)).toEqualTypeOf<
    DataStream<View, ChangeKind>
  >()
  expectTypeOf(
    byPage.join('j', byPage, { kind: 'full' }, (left, right) => {
      expectTypeOf(left).toEqualTypeOf<View | undefined>()
      expectTypeOf(right).toEqualTypeOf<View | undefined>()
      return 1
    }),
  ).toEqualTypeOf<DataStream<number, ChangeKind>>()
  byPage.join('j', byPage, { kind: 'left' }, (left, right) => {
    expectTypeOf(left).toEqualTypeOf<View>()
    expectTypeOf(right).toEqualTypeOf<View | undefined>()
    return 1
  })
  // @ts-expect-error an outer join takes rows back
  byPage.join('j', byPage, { kind: 'left' }, () => 1).to('out', arraySink<number>([]))

  // sinks
  counts.to(
    'table',
    mapSink(new Map<string, KeyedResult<string, number>>(), ({ key }) => key),
  )
  counts.to('topic', kafkaTableSink({ brokers, topic: 't', value: json(), key: ({ key }) => key }))
  counts.changes().to('log', kafkaSink({ brokers, topic: 't', value: json() }))
  // @ts-expect-error a topic that is appended to cannot take a row back
  counts.to('topic', kafkaSink({ brokers, topic: 't', value: json() }))
  // @ts-expect-error nor can an array
  counts.to('array', arraySink<KeyedResult<string, number>>([]))
  // @ts-expect-error a table of a topic needs a key
  counts.to('topic', kafkaTableSink({ brokers, topic: 't', value: json() }))
  const takesBoth = {} as Sink<View, ChangeKind>
  const appends = {} as Sink<View>
  views.to('a', takesBoth)
  views.to('b', appends)
  table.to('c', takesBoth)
  // @ts-expect-error it only appends
  table.to('d', appends)

  // @ts-expect-error a process function sees rows that stay; say .changes() first
  counts.keyBy(({ key }) => key).process('p', {}, () => ({ onRecord() {} }))
  counts
    .changes()
    .keyBy(({ value }) => value.key)
    .process('p', {}, () => ({
      onRecord(change) {
        expectTypeOf(change).toEqualTypeOf<Change<KeyedResult<string, number>>>()
        // @ts-expect-error only an update has a former row
        return change.previous
      },
    }))
}
