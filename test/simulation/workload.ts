/**
 * What simulated jobs do, and what they must put out: pipelines over one scripted source, each with a sequential reference.
 *
 * Every output is a function of the input alone, not of the order in which subtasks work. Where lateness matters there is one
 * split and its batches are cut at fixed places, so that the watermark stands in a fixed place among the records.
 */
import {
  combine,
  count,
  customWatermarks,
  job,
  mapState,
  max,
  session,
  sliding,
  tumbling,
  type,
  valueState,
} from 'millrace'
import type { DataStream, Job, KeyedStream, Sink, Source } from 'millrace'
import type { Random } from './random.ts'

/** A record of the scripted source. */
export interface SimulatedEvent {
  readonly index: number
  readonly key: string
  readonly value: number
  readonly atMs: number
  /** Makes records as large as frames in some runs. */
  readonly note: string
}

/** An output row as text, so that rows compare. */
export type OutputRow = string

export type Pipeline =
  | 'count'
  | 'tumbling'
  | 'sliding'
  | 'session'
  | 'timers'
  | 'join'
  | 'rebalanced'
  | 'expanded'
  | 'burst'
  | 'broadcast'
  | 'tables'

export const PIPELINES: readonly Pipeline[] = [
  'count',
  'tumbling',
  'sliding',
  'session',
  'timers',
  'join',
  'rebalanced',
  'expanded',
  'burst',
  'broadcast',
]

/** Those whose output has all rows of the reference even if some records count twice. */
const AT_LEAST_ONCE: readonly Pipeline[] = [
  'count',
  'timers',
  'join',
  'rebalanced',
  'expanded',
  'burst',
]

export interface Workload {
  readonly events: readonly SimulatedEvent[]
  /** Records of a batch; batches end at multiples of it, whatever the position they were begun at. */
  readonly batchCount: number
  readonly splitCount: number
  /** How far the watermark trails the highest timestamp. */
  readonly delayMs: number
  readonly pipelines: readonly Pipeline[]
  /** The longest note. */
  readonly noteLength: number
  readonly exactlyOnce: boolean
}

const STEP_MS = 10
const SIZE_MS = 200
const SLIDE_MS = 50
const GAP_MS = 60
/** So many records' timers are due at once. */
const BURST_MS = 2500
/** Every so many records one is expanded, into so many. */
const EXPANDED_EVERY = 150
const EXPANDED_COUNT = 1500
const EXPANDED_KEPT_EVERY = 100
/** Every so many records one is broadcast. */
const RULE_EVERY = 40
const END_MS = 1e9
/** One of so many jobs has tables. */
const TABLES_EVERY = 5
/** So many groups of counts are there. */
const GROUP_COUNT = 7

export interface WorkloadSize {
  readonly eventsMin: number
  readonly eventsMax: number
  readonly pipelinesMax: number
  readonly noteLengths: readonly number[]
  readonly pipelines: readonly Pipeline[]
}

const fullSize: WorkloadSize = {
  eventsMin: 400,
  eventsMax: 900,
  pipelinesMax: 3,
  noteLengths: [0, 0, 300, 2500],
  pipelines: PIPELINES,
}

/** For runs that look at what a sink does with many small epochs. */
export const smallSize: WorkloadSize = {
  eventsMin: 120,
  eventsMax: 260,
  pipelinesMax: 2,
  noteLengths: [0],
  pipelines: PIPELINES.filter((pipeline) => pipeline !== 'expanded'),
}

export function makeWorkload(random: Random, size: WorkloadSize = fullSize): Workload {
  const hasLate = random.chance(0.4)
  const keyCount = random.pick([1, 3, 20, 200])
  const eventCount = random.between(size.eventsMin, size.eventsMax)
  const disorderMs = random.pick([0, 30, 150])
  const delayMs = hasLate ? Math.floor(disorderMs / 3) : disorderMs
  const noteLength = random.pick(size.noteLengths)
  const events = Array.from({ length: eventCount }, (_, index) => ({
    index,
    key: `key-${random.below(keyCount)}`,
    value: random.between(-5, 100),
    atMs: index * STEP_MS - random.below(disorderMs + 1),
    note: 'x'.repeat(random.below(noteLength + 1)),
  }))
  const count = random.between(1, size.pipelinesMax)
  const pipelines = new Set<Pipeline>()
  const exactlyOnce = random.chance(0.85)
  const choice = size.pipelines.filter((each) => exactlyOnce || AT_LEAST_ONCE.includes(each))
  while (pipelines.size < count) pipelines.add(random.pick(choice))
  // beside the others, without a draw of its own; a job that takes rows back is aligned whatever it promises
  if (eventCount % TABLES_EVERY === 0) pipelines.add('tables')
  return {
    events,
    batchCount: random.between(1, 12),
    splitCount: hasLate ? 1 : random.between(1, 3),
    delayMs,
    pipelines: [...pipelines],
    noteLength,
    exactlyOnce,
  }
}

/** What a job is given by whoever simulates it. */
export interface JobParts {
  readonly sink: (name: string) => Sink<OutputRow>
  /** Sees every record at its source, and may throw. */
  readonly pass: (event: SimulatedEvent) => void
  /** A reader or split was opened; the answer is called when it is closed. */
  readonly opened: (kind: string) => () => void
  /** How long the source has nothing, asked before each batch; 0: it has something. */
  readonly pauseMs: (nextEvent: SimulatedEvent) => number
}

export function makeJob(workload: Workload, parts: JobParts): Job {
  return job('simulated', (env) => {
    // where lateness matters one subtask reads all: another's end, whenever it came, would move the watermark
    const width = workload.splitCount === 1 ? { parallelism: 1 } : {}
    const events = env
      .from('events', scriptedSource(workload, parts), {
        ...width,
        timestampMs: (event) => event.atMs,
        watermarks: customWatermarks<SimulatedEvent>(() => {
          let highestMs = -Infinity
          return {
            advance(_event, timestampMs) {
              highestMs = Math.max(highestMs, timestampMs)
              return highestMs - workload.delayMs - 1
            },
          }
        }),
      })
      .filter((event) => {
        parts.pass(event)
        return true
      }, width)
    const keyed = events.keyBy((event) => event.key)
    for (const pipeline of workload.pipelines) {
      build(pipeline, events, keyed).to(`${pipeline}-out`, parts.sink(pipeline))
    }
  })
}

function build(
  pipeline: Pipeline,
  events: DataStream<SimulatedEvent>,
  keyed: KeyedStream<string, SimulatedEvent>,
): DataStream<OutputRow> {
  switch (pipeline) {
    case 'count':
      return keyed.count('count').map(({ key, value }) => `count ${key} ${value}`)
    case 'tumbling': {
      const windowed = keyed
        .window(tumbling({ size: `${SIZE_MS}ms` }))
        .sum('tumbling', (e) => e.value)
      return windowed
        .map(({ key, window, value }) => `tumbling ${key} ${window.endMs} ${value}`)
        .union(windowed.side.late.map(({ index }) => `tumbling late ${index}`))
    }
    case 'sliding':
      return keyed
        .window(sliding({ size: `${SIZE_MS}ms`, every: `${SLIDE_MS}ms` }))
        .count('sliding')
        .map(({ key, window, value }) => `sliding ${key} ${window.endMs} ${value}`)
    case 'session': {
      const windowed = keyed.window(session({ gap: `${GAP_MS}ms` })).sum('session', (e) => e.value)
      return windowed
        .map(
          ({ key, window, value }) => `session ${key} ${window.startMs} ${window.endMs} ${value}`,
        )
        .union(windowed.side.late.map(({ index }) => `session late ${index}`))
    }
    case 'timers':
      return keyed.process(
        'timers',
        {
          emits: type<OutputRow>(),
          state: { values: mapState<number, number>(), seen: valueState({ default: 0 }) },
        },
        ({ state, timers, emit, key }) => ({
          onRecord({ index, value }, { timestampMs }) {
            state.values.set(index, value)
            state.seen.set(state.seen.get() + 1)
            timers.setEventTime(Math.ceil(timestampMs / SIZE_MS) * SIZE_MS)
          },
          onTimer({ timestampMs }) {
            // what is in time for this timer: everything up to it, later records belong to later timers
            for (const [index, value] of state.values.entries()) {
              if (timeOf.get(index) !== undefined && (timeOf.get(index) as number) > timestampMs)
                continue
              emit(`timers ${key()} ${index} ${value}`)
              state.values.delete(index)
            }
          },
        }),
      )
    case 'join':
      return keyed.process(
        'join',
        {
          emits: type<OutputRow>(),
          inputs: {
            odd: events.filter(({ index }) => index % 2 === 1).keyBy((event) => event.key),
          },
          state: { left: mapState<number, number>(), right: mapState<number, number>() },
        },
        ({ state, emit, key }) => ({
          onRecord({ index, value }) {
            if (index % 7 !== 0) return
            state.left.set(index, value)
            for (const [other] of state.right.entries()) emit(`join ${key()} ${index} ${other}`)
          },
          inputs: {
            odd({ index, value }) {
              if (index % 5 !== 0) return
              state.right.set(index, value)
              for (const [other] of state.left.entries()) emit(`join ${key()} ${other} ${index}`)
            },
          },
        }),
      )
    case 'rebalanced':
      return events
        .rebalance()
        .flatMap(({ index }) =>
          Array.from({ length: index % 3 }, (_, copy) => `row ${index} ${copy}`),
        )
        .rebalance()
        .map((row) => `rebalanced ${row}`, { chain: 'start' })
    case 'expanded':
      // three exchanges of all to all, with far more records than they have room for
      return events
        .rebalance()
        .flatMap(function* ({ index }) {
          for (let n = 0; n < expandedCount(index); n++) yield { index, n }
        })
        .rebalance()
        .map((row) => row, { chain: 'start' })
        .rebalance()
        .filter(({ n }) => n % EXPANDED_KEPT_EVERY === 0, { chain: 'start' })
        .map(({ index, n }) => `expanded ${index} ${n}`)
    case 'burst':
      return events
        .keyBy((event) => event.index)
        .process(
          'burst',
          { emits: type<OutputRow>(), state: { value: valueState({ default: 0 }) } },
          ({ state, timers, emit, key }) => ({
            onRecord({ value, atMs }) {
              state.value.set(value)
              timers.setEventTime((Math.floor(atMs / BURST_MS) + 1) * BURST_MS)
            },
            onTimer: () => emit(`burst ${key()} ${state.value.get()}`),
          }),
        )
    case 'broadcast':
      return keyed.process(
        'broadcast',
        {
          emits: type<OutputRow>(),
          inputs: { rules: events.filter(({ index }) => index % RULE_EVERY === 0).broadcast() },
          broadcastState: { rules: mapState<number, number>() },
          state: { seen: valueState({ default: 0 }) },
        },
        ({ state, broadcastState, timers, emit, key }) => ({
          onRecord() {
            state.seen.set(state.seen.get() + 1)
            timers.setEventTime(END_MS)
          },
          onTimer() {
            let sum = 0
            for (const [, value] of broadcastState.rules.entries()) sum += value
            emit(`broadcast ${key()} ${state.seen.get()} ${sum}`)
          },
          inputs: {
            rules({ index, value }, access) {
              access.broadcastState.rules.set(index, value)
            },
          },
        }),
      )
    case 'tables':
      // an aggregate with an inverse, over one that keeps its rows
      return events
        .asTable()
        .keyBy((event) => event.key)
        .count('tables-counts')
        .keyBy(({ value }) => value % GROUP_COUNT)
        .aggregate('tables', combine({ keys: count(), most: max(({ value }) => value) }))
        .map(({ key, value }) => `tables ${key} ${value.keys} ${value.most}`)
        .changes()
        .keyBy(({ value }) => value.split(' ')[1] as string)
        .process(
          'tables-last',
          { emits: type<OutputRow>(), state: { row: valueState<string>({ default: '' }) } },
          ({ state, timers, emit }) => ({
            onRecord(change) {
              timers.setEventTime(END_MS)
              const former =
                change.kind === 'update'
                  ? change.previous
                  : change.kind === 'retract'
                    ? change.value
                    : ''
              if (state.row.get() !== former)
                emit(`tables: '${former}' takes back '${state.row.get()}'`)
              if (change.kind === 'retract') state.row.clear()
              else state.row.set(change.value)
            },
            onTimer() {
              if (state.row.get() !== '') emit(state.row.get())
            },
          }),
        )
  }
}

function expandedCount(index: number): number {
  return index % EXPANDED_EVERY === 0 ? EXPANDED_COUNT : 1
}

/** The timestamps of the events at hand, for the pipeline that asks for them by index. */
const timeOf = new Map<number, number>()

/** What the job must put out in the end, worked out record by record. */
export function reference(workload: Workload): OutputRow[] {
  timeOf.clear()
  for (const { index, atMs } of workload.events) timeOf.set(index, atMs)
  return workload.pipelines.flatMap((pipeline) => referenceOf(pipeline, workload))
}

function referenceOf(pipeline: Pipeline, workload: Workload): OutputRow[] {
  const { events } = workload
  switch (pipeline) {
    case 'count': {
      const counts = new Map<string, number>()
      return events.map(({ key }) => {
        counts.set(key, (counts.get(key) ?? 0) + 1)
        return `count ${key} ${counts.get(key)}`
      })
    }
    case 'tumbling':
      return alignedReference(
        workload,
        'tumbling',
        SIZE_MS,
        (sum, event) => sum + event.value,
        true,
      )
    case 'sliding':
      return alignedReference(workload, 'sliding', SLIDE_MS, (count) => count + 1, false)
    case 'session':
      return sessionReference(workload)
    case 'timers':
      return events.map(({ key, index, value }) => `timers ${key} ${index} ${value}`)
    case 'join': {
      const rows: OutputRow[] = []
      const lefts = events.filter(({ index }) => index % 7 === 0)
      const rights = events.filter(({ index }) => index % 2 === 1 && index % 5 === 0)
      for (const left of lefts) {
        for (const right of rights) {
          if (left.key === right.key) rows.push(`join ${left.key} ${left.index} ${right.index}`)
        }
      }
      return rows
    }
    case 'rebalanced':
      return events.flatMap(({ index }) =>
        Array.from({ length: index % 3 }, (_, copy) => `rebalanced row ${index} ${copy}`),
      )
    case 'expanded':
      return events.flatMap(({ index }) =>
        Array.from(
          { length: Math.ceil(expandedCount(index) / EXPANDED_KEPT_EVERY) },
          (_, kept) => `expanded ${index} ${kept * EXPANDED_KEPT_EVERY}`,
        ),
      )
    case 'burst':
      return events.map(({ index, value }) => `burst ${index} ${value}`)
    case 'broadcast': {
      const seen = new Map<string, number>()
      for (const { key } of events) seen.set(key, (seen.get(key) ?? 0) + 1)
      const sum = events
        .filter(({ index }) => index % RULE_EVERY === 0)
        .reduce((total, { value }) => total + value, 0)
      return [...seen].map(([key, count]) => `broadcast ${key} ${count} ${sum}`)
    }
    case 'tables': {
      const counts = new Map<string, number>()
      for (const { key } of events) counts.set(key, (counts.get(key) ?? 0) + 1)
      const groups = new Map<number, number[]>()
      for (const n of counts.values()) {
        groups.set(n % GROUP_COUNT, [...(groups.get(n % GROUP_COUNT) ?? []), n])
      }
      return [...groups].map(
        ([group, list]) => `tables ${group} ${list.length} ${Math.max(...list)}`,
      )
    }
  }
}

/** Each event with the watermark that has passed when it is handled; -Infinity where nothing can be late. */
function* withWatermarks(workload: Workload): Generator<readonly [SimulatedEvent, number]> {
  let highestMs = -Infinity
  let watermarkMs = -Infinity
  for (const event of workload.events) {
    if (workload.splitCount === 1 && event.index % workload.batchCount === 0) {
      watermarkMs = highestMs - workload.delayMs - 1
    }
    yield [event, watermarkMs]
    highestMs = Math.max(highestMs, event.atMs)
  }
}

function alignedReference(
  workload: Workload,
  name: string,
  everyMs: number,
  fold: (value: number, event: SimulatedEvent) => number,
  showsLate: boolean,
): OutputRow[] {
  const windows = new Map<string, number>()
  const late: OutputRow[] = []
  for (const [event, watermarkMs] of withWatermarks(workload)) {
    let isTaken = false
    const lastStart = Math.floor(event.atMs / everyMs) * everyMs
    for (let startMs = lastStart; startMs > event.atMs - SIZE_MS; startMs -= everyMs) {
      const endMs = startMs + SIZE_MS
      if (endMs - 1 <= watermarkMs) continue
      isTaken = true
      const id = `${name} ${event.key} ${endMs}`
      windows.set(id, fold(windows.get(id) ?? 0, event))
    }
    if (!isTaken && showsLate) late.push(`${name} late ${event.index}`)
  }
  return [...[...windows].map(([id, value]) => `${id} ${value}`), ...late]
}

function sessionReference(workload: Workload): OutputRow[] {
  interface Session {
    startMs: number
    endMs: number
    value: number
  }
  const open = new Map<string, Session[]>()
  const rows: OutputRow[] = []
  const fire = (key: string, upToMs: number): void => {
    const left: Session[] = []
    for (const each of open.get(key) ?? []) {
      if (each.endMs - 1 <= upToMs)
        rows.push(`session ${key} ${each.startMs} ${each.endMs} ${each.value}`)
      else left.push(each)
    }
    open.set(key, left)
  }
  for (const [{ key, atMs, value, index }, watermarkMs] of withWatermarks(workload)) {
    fire(key, watermarkMs)
    const sessions = open.get(key) ?? []
    const joined = sessions.filter((each) => atMs <= each.endMs && each.startMs <= atMs + GAP_MS)
    const merged = joined.reduce<Session>(
      (into, each) => ({
        startMs: Math.min(into.startMs, each.startMs),
        endMs: Math.max(into.endMs, each.endMs),
        value: into.value + each.value,
      }),
      { startMs: atMs, endMs: atMs + GAP_MS, value },
    )
    if (merged.endMs - 1 <= watermarkMs) rows.push(`session late ${index}`)
    else open.set(key, [...sessions.filter((each) => !joined.includes(each)), merged])
  }
  for (const key of open.keys()) fire(key, Infinity)
  return rows
}

/** The events in `splitCount` splits by residue, in batches cut at fixed places. */
function scriptedSource(
  { events, batchCount, splitCount }: Workload,
  { pauseMs, opened }: JobParts,
): Source<SimulatedEvent> {
  return {
    type: 'scripted',
    isBounded: true,
    enumerator: () => ({
      async discover(known) {
        if (known.size > 0) return []
        return Array.from({ length: splitCount }, (_, first) => ({
          id: `split ${first}`,
          data: first,
          position: 0,
        }))
      },
    }),
    reader: (context) => ({
      close: opened('reader'),
      open(split) {
        const own = events.filter(({ index }) => index % splitCount === split.data)
        let next = split.position as number
        const close = opened('split')
        return {
          read(batch) {
            if (next >= own.length) return 'ended'
            const pause = pauseMs(own[next] as SimulatedEvent)
            if (pause > 0) {
              context.availableAt(context.clock.now() + pause)
              return 'empty'
            }
            const end = Math.min(own.length, (Math.floor(next / batchCount) + 1) * batchCount)
            for (let row = 0; next < end; row++, next++) {
              batch.values[row] = { ...(own[next] as SimulatedEvent) }
              batch.timestamps[row] = NaN
              batch.count = row + 1
            }
            return 'records'
          },
          position: () => next,
          close,
        }
      },
    }),
  }
}
