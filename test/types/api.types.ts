/**
 * What the API must infer and what it must refuse. Checked by `tsc` alone, with the rest of the package; nothing here is run.
 *
 * Negative tests stand on one line each, since prettier may move a call away from its `@ts-expect-error`; `tsc` notices.
 */
import { expectTypeOf } from 'expect-type'
import {
  aggregator,
  arraySink,
  average,
  combine,
  count,
  fromArray,
  generate,
  job,
  json,
  listState,
  mapSink,
  mapState,
  maxBy,
  messagePack,
  ms,
  outOfOrder,
  printSink,
  reducingState,
  run,
  session,
  sliding,
  start,
  sum,
  text,
  tumbling,
  type,
  valueState,
} from 'millrace'
import type {
  Aggregator,
  BroadcastStream,
  ChangeKind,
  DataStream,
  Duration,
  Env,
  Format,
  KeyedResult,
  KeyedStream,
  MultiStream,
  RunningJob,
  Schema,
  Sink,
  Source,
  TimeWindow,
  WindowResult,
} from 'millrace'
import { fileSink, fileSource } from 'millrace/files'
import { kafkaRecordSource, kafkaSink, kafkaSource } from 'millrace/kafka'
import type { KafkaRecord } from 'millrace/kafka'
import { runTest, testSource } from 'millrace/testing'
import type { TestSource } from 'millrace/testing'

interface View {
  readonly page: string
  readonly user: number
  readonly country?: string
  readonly kind: 'human' | 'bot'
}
declare const env: Env
declare const views: DataStream<View>
declare const byPage: KeyedStream<string, View>
declare const byUser: KeyedStream<number, View>
declare const changing: DataStream<View, ChangeKind>
declare const rules: BroadcastStream<{ readonly page: string; readonly limit: number }>
declare const brokers: readonly string[]
const minute = tumbling({ size: '1min' })

// ------------------------------------------------------------------------------ inferred without a word
expectTypeOf(env.from('a', fromArray<View>([]))).toEqualTypeOf<DataStream<View>>()
expectTypeOf(views.map((view) => view.page)).toEqualTypeOf<DataStream<string>>()
expectTypeOf(views.flatMap((view) => [view.user])).toEqualTypeOf<DataStream<number>>()
expectTypeOf(views.flatMap((view) => view.page)).toEqualTypeOf<DataStream<string>>()
expectTypeOf(views.keyBy((view) => view.page)).toEqualTypeOf<KeyedStream<string, View>>()
expectTypeOf(views.keyBy((view) => BigInt(view.user))).toEqualTypeOf<KeyedStream<bigint, View>>()
expectTypeOf(views.keyBy((view) => [view.page, view.user])).toEqualTypeOf<
  KeyedStream<[string, number], View>
>()
expectTypeOf(byPage.count('c')).toEqualTypeOf<DataStream<KeyedResult<string, number>>>()
expectTypeOf(byPage.sum('s', (view) => view.user)).toEqualTypeOf<
  DataStream<KeyedResult<string, number>>
>()
expectTypeOf(
  byPage.reduce('r', (left, right) => (left.user > right.user ? left : right)),
).toEqualTypeOf<DataStream<KeyedResult<string, View>>>()
expectTypeOf(views.union(views.map((view) => view.page))).toEqualTypeOf<DataStream<View | string>>()
expectTypeOf(views.rebalance()).toEqualTypeOf<DataStream<View>>()
expectTypeOf(views.broadcast()).toEqualTypeOf<BroadcastStream<View>>()
expectTypeOf(
  env.from('k', kafkaRecordSource({ brokers, topics: ['t'], value: json<View>() })),
).toEqualTypeOf<DataStream<KafkaRecord<Uint8Array, View>>>()
expectTypeOf(
  env.from('k', kafkaSource({ brokers, topics: ['t'], value: json<View>() })),
).toEqualTypeOf<DataStream<View>>()
expectTypeOf(
  env.from('f', fileSource({ path: 'in', format: json<View>() }), {
    timestampMs: (view) => view.user,
    watermarks: outOfOrder({ delay: '3s' }),
  }),
).toEqualTypeOf<DataStream<View>>()

// the assertion itself refuses a near miss
// @ts-expect-error a stream of strings is no stream of numbers
expectTypeOf(views.map((view) => view.page)).toEqualTypeOf<DataStream<number>>()

// a type guard inferred from the lambda narrows the stream
declare const events: DataStream<
  { readonly kind: 'a'; readonly x: number } | { readonly kind: 'b'; readonly y: string }
>
expectTypeOf(events.filter((event) => event.kind === 'a').map((event) => event.x)).toEqualTypeOf<
  DataStream<number>
>()

// windows and aggregates
expectTypeOf(byPage.window(minute).count('w')).toEqualTypeOf<
  MultiStream<WindowResult<string, TimeWindow, number>, { late: View }>
>()
expectTypeOf(
  views.windowAll(sliding({ size: '10s', every: '2s' })).aggregate(
    'top',
    maxBy((view) => view.user),
  ),
).toEqualTypeOf<MultiStream<WindowResult<null, TimeWindow, readonly View[]>, { late: View }>>()
expectTypeOf(
  byPage.window(session({ gap: (view) => (view.kind === 'bot' ? '1s' : '10s') })).count('w').side
    .late,
).toEqualTypeOf<DataStream<View>>()
expectTypeOf(
  byPage
    .window(minute)
    .process('w', { emits: type<number>(), side: { odd: type<string>() } }, () => ({
      onPane() {},
    })),
).toEqualTypeOf<MultiStream<number, { readonly odd: string } & { late: View }>>()
const combined = byPage
  .window(tumbling({ size: '1h' }))
  .aggregate('both', combine({ users: sum((view) => view.user), views: count() }))
expectTypeOf(combined.map(({ value }) => value.users + value.views)).toEqualTypeOf<
  DataStream<number>
>()
// @ts-expect-error no such part in the combination
combined.map(({ value }) => value.clicks)
const ofOthers = combine({ z: sum((other: { readonly z: number }) => other.z) })
// @ts-expect-error an aggregate of other rows
byPage.aggregate('both', ofOthers)
expectTypeOf(
  aggregator({
    create: () => 0,
    add: (length, word: string) => Math.max(length, word.length),
    merge: Math.max,
    result: (length) => length > 0,
  }),
).toEqualTypeOf<Aggregator<string, number, boolean>>()

// ---------------------------------------------------------------------------------------- missing uids
// @ts-expect-error a count has state, so it needs a uid
byPage.count()
// @ts-expect-error the first argument is the uid
byPage.aggregate(count())
// @ts-expect-error the first argument is the uid
byPage.window(minute).reduce((left, _right) => left)
// @ts-expect-error a window count too
byPage.window(minute).count()
// @ts-expect-error a source has positions, so it needs a uid
env.from(fromArray([1]))
// @ts-expect-error a sink has transactions, so it needs a uid
views.to(printSink())
// @ts-expect-error keyed state needs a uid
byPage.process({ state: { n: valueState<number>() } }, () => ({ onRecord() {} }))
views.map((view) => view, { uid: 'stateless ones may have one' })

// ------------------------------------------------------------------------------------------------ keys
// @ts-expect-error an object is no key
views.keyBy((view) => ({ page: view.page }))
// @ts-expect-error undefined is no key
views.keyBy((view) => view.country)
// @ts-expect-error null is no key
views.keyBy(() => null)
// @ts-expect-error a promise is no key
views.keyBy(async (view) => view.page)
// @ts-expect-error an empty tuple is no key
views.keyBy(() => [])
// @ts-expect-error a further input has the same key type
byPage.process('p', { inputs: { other: byUser } }, () => ({ onRecord() {} }))
// @ts-expect-error and is keyed or broadcast
byPage.process('p', { inputs: { other: views } }, () => ({ onRecord() {} }))
// @ts-expect-error keyed operators need a key
views.count('c')
// @ts-expect-error a keyed stream has no map: it would lose its key
byPage.map((view) => view)
// @ts-expect-error no such field
views.keyBy((view) => view.pages)
// @ts-expect-error filter takes a boolean, not a promise of one
views.filter(async (view) => view.kind === 'bot')
// @ts-expect-error flatMap takes an iterable, not a promise of one
views.flatMap(async (view) => [view])

// ------------------------------------------------------------------------------------------------ state
byPage.process(
  'p',
  {
    emits: type<{ readonly page: string; readonly n: number }>(),
    side: { bots: type<View>() },
    state: {
      n: valueState({ default: 0 }),
      last: valueState<View>(),
      users: mapState<number, string>(),
      list: listState<View>(),
      most: reducingState<number>(Math.max),
    },
  },
  ({ state, emit, side, timers, key }) => ({
    onRecord(view, { timestampMs }) {
      expectTypeOf(view).toEqualTypeOf<View>()
      expectTypeOf(timestampMs).toEqualTypeOf<number>()
      expectTypeOf(state.n.get()).toEqualTypeOf<number>()
      expectTypeOf(state.last.get()).toEqualTypeOf<View | undefined>()
      expectTypeOf(state.most.get()).toEqualTypeOf<number | undefined>()
      expectTypeOf(key()).toEqualTypeOf<string>()
      state.n.set(state.n.get() + 1)
      state.users.set(view.user, view.page)
      emit({ page: view.page, n: 1 })
      side.bots(view)
      timers.setEventTime(timestampMs + ms('1s'))
      // @ts-expect-error wrong type of a value state
      state.n.set('1')
      // @ts-expect-error wrong type of a map state's key
      state.users.get('1')
      // @ts-expect-error wrong type of a list state's value
      state.list.add(view.page)
      // @ts-expect-error a state that was not declared
      state.other.get()
      // @ts-expect-error it may be empty
      void state.last.get().page
      // @ts-expect-error wrong type of a result
      emit(view)
      // @ts-expect-error wrong type of a side output
      side.bots(1)
      // @ts-expect-error a side output that was not declared
      side.humans(view)
    },
  }),
)
const processed = byPage.process(
  'p',
  { emits: type<number>(), side: { bots: type<View>() } },
  () => ({ onRecord() {} }),
)
expectTypeOf(processed).toEqualTypeOf<MultiStream<number, { readonly bots: View }>>()
expectTypeOf(processed.side.bots).toEqualTypeOf<DataStream<View>>()
// @ts-expect-error nothing was said to be emitted
byPage.process('p', {}, ({ emit }) => ({ onRecord: (view) => emit(view) }))
// @ts-expect-error a side output that was not declared
void processed.side.humans
// @ts-expect-error an operator without a key has no state
views.process('p', {}, ({ state }) => ({ onRecord: () => state }))

// further inputs have the types of their streams
byPage.process(
  'p',
  {
    inputs: { others: views.keyBy((view) => view.page), rules },
    broadcastState: { limits: mapState<string, number>() },
  },
  ({ broadcastState }) => ({
    onRecord(view) {
      expectTypeOf(broadcastState.limits.get(view.page)).toEqualTypeOf<number | undefined>()
      // @ts-expect-error read only here
      broadcastState.limits.set(view.page, 1)
    },
    inputs: {
      others(view, { watermarkMs }) {
        expectTypeOf(view).toEqualTypeOf<View>()
        expectTypeOf(watermarkMs).toEqualTypeOf<number>()
      },
      rules: (rule, access) => access.broadcastState.limits.set(rule.page, rule.limit),
    },
  }),
)

// ------------------------------------------------------------------------------------------------ sinks
// @ts-expect-error a sink for other rows
views.to('out', arraySink<number>([]))
// @ts-expect-error a sink for other rows
views.to('out', fileSink({ directory: 'out', format: text() }))
views.to('out', fileSink({ directory: 'out', format: json() }))
views.to('out', kafkaSink({ brokers, topic: 't', value: json() }))
views.to(
  'out',
  kafkaSink({ brokers, topic: (view) => view.page, value: json(), key: (view) => view.user }),
)
views.to(
  'out',
  mapSink(new Map<string, View>(), (view) => view.page),
)
declare const appendOnly: Sink<View>
declare const takesBoth: Sink<View, ChangeKind>
views.to('a', takesBoth)
changing.to('a', takesBoth)
changing.to('a', printSink())
// @ts-expect-error a sink that only appends cannot take rows back
changing.to('a', appendOnly)
// @ts-expect-error a process function sees records, not changes
changing.process('p', {}, () => ({ onRecord() {} }))
expectTypeOf(changing.map((view) => view.page)).toEqualTypeOf<DataStream<string, ChangeKind>>()
expectTypeOf(changing.keyBy((view) => view.page).count('c')).toEqualTypeOf<
  DataStream<KeyedResult<string, number>, ChangeKind>
>()
expectTypeOf(views.union(changing)).toEqualTypeOf<DataStream<View, ChangeKind>>()

// ----------------------------------------------------------------------------------- windows, durations
// @ts-expect-error no unit
tumbling({ size: 60 })
// @ts-expect-error a sliding window has two lengths
sliding({ size: '1min' })
// @ts-expect-error unknown unit
const month: Duration = '1mon'
const computed: Duration = `${3 * 5}s`

// ---------------------------------------------------------------------------------------------- job, run
const counting = job('counting', { params: type<{ readonly topic: string }>() }, (inner) => {
  expectTypeOf(inner.params.topic).toEqualTypeOf<string>()
  const rows: number[] = []
  inner.from('n', generate({ count: 10, record: (index) => index })).to('rows', arraySink(rows))
})
void run(counting, { params: { topic: 't' } })
// @ts-expect-error wrong parameters
void run(counting, { params: { topic: 1 } })
// @ts-expect-error threads load the job again, so they need its module
void run(counting, { threads: 4 })
const module = new URL('./jobs/counting.js', import.meta.url)
expectTypeOf(start(counting, { threads: 4, module })).toEqualTypeOf<RunningJob>()
// @ts-expect-error an unknown option
void run(counting, { paralelism: 4 })
counting.explain({ format: 'mermaid', params: { topic: 't' } })
// @ts-expect-error an unknown format
counting.explain({ format: 'html' })

// ----------------------------------------------------------------------------------------------- testing
expectTypeOf(testSource<View>()).toEqualTypeOf<TestSource<View>>()
expectTypeOf(env.from('t', testSource<View>())).toEqualTypeOf<DataStream<View>>()
// @ts-expect-error a record of another type
testSource<View>().emit({ value: 1, timestampMs: 0 })
void runTest(counting, { params: { topic: 't' } })
// @ts-expect-error wrong parameters
void runTest(counting, { params: { topic: 1 } })

// generic helpers over streams keep their types
function pagesOf<T extends { readonly page: string }>(
  stream: DataStream<T>,
): DataStream<KeyedResult<string, number>> {
  return stream.keyBy((row) => row.page as string).count('pages')
}
expectTypeOf(pagesOf(views)).toEqualTypeOf<DataStream<KeyedResult<string, number>>>()
declare const narrower: DataStream<View & { readonly more: 1 }>
const wider: DataStream<View> = narrower
const asChanges: DataStream<View, ChangeKind> = views
// @ts-expect-error a stream that takes rows back is no append stream
const asAppend: DataStream<View> = changing
declare const schema: Schema<View>
expectTypeOf(json(schema)).toEqualTypeOf<Format<View>>()
expectTypeOf(messagePack(schema)).toEqualTypeOf<Format<View>>()
expectTypeOf(fromArray([1, 2])).toEqualTypeOf<Source<number>>()
expectTypeOf(average((view: View) => view.user)).toEqualTypeOf<
  Aggregator<View, [total: number, rows: number], number>
>()
void [month, computed, wider, asChanges, asAppend]
