/**
 * A source that follows a script: which records come, where the watermark stands, when time passes.
 *
 * Invariants
 *  - A script only grows while it is written, and is never changed by a run: a job may be run any number of times.
 *  - Steps of all test sources of a job have one order, that in which they were written.
 */
import type { Source, SplitReader, WatermarkStrategy } from '../contract/source.ts'
import { EngineError } from '../core/errors.ts'
import type { RecordBatch } from '../core/record-batch.ts'
import { WATERMARK_MIN } from '../core/time.ts'
import { copyValue } from '../core/value.ts'

/** A record with its event time. */
export interface TestRecord<out T> {
  readonly value: T
  readonly timestampMs: number
}

/**
 * Steps are given in processing time, which begins at 0; the job sees exactly this order, also over several sources. After each
 * step the job does all it can before the next.
 */
export interface TestSource<in out T> extends Source<T> {
  /** Records with event times, at the present processing time. */
  emit(...records: readonly TestRecord<T>[]): TestSource<T>
  /**
   * No record that is not later will come. Only where the job gives this source no watermark strategy of its own; a test of
   * such a strategy lets it decide.
   */
  watermark(timestampMs: number): TestSource<T>
  /** Moves the processing-time clock of the whole job; timers fire on the way. */
  advanceTo(processingTimeMs: number): TestSource<T>
  /** No further records: the watermark goes to the end of time. */
  end(): TestSource<T>
}

export type TestStep =
  | { readonly kind: 'emit'; readonly records: readonly TestRecord<unknown>[] }
  | { readonly kind: 'watermark'; readonly timestampMs: number }
  | { readonly kind: 'advance'; readonly processingTimeMs: number }
  | { readonly kind: 'end' }

/** A step and its place among those of all sources. */
export interface ScriptedStep {
  readonly place: number
  readonly step: TestStep
}

/** Places of steps; they only need to grow. */
let lastPlace = 0

const SCRIPTED: WatermarkStrategy = {
  name: 'as scripted',
  open: () => ({ advance: () => WATERMARK_MIN }),
}

/**
 * An empty script. Works with `runTest` only.
 *
 * @example
 * const views = testSource<View>()
 *   .emit({ value: { page: 'a' }, timestampMs: 1000 })
 *   .watermark(60_000)
 *   .end()
 */
export function testSource<T>(): TestSource<T> {
  return new ScriptSource<T>()
}

export class ScriptSource<T> implements TestSource<T> {
  readonly type = 'test'
  readonly isBounded = false
  readonly watermarks: WatermarkStrategy = SCRIPTED
  readonly steps: ScriptedStep[] = []

  emit(...records: readonly TestRecord<T>[]): this {
    return this.#add({ kind: 'emit', records })
  }

  watermark(timestampMs: number): this {
    return this.#add({ kind: 'watermark', timestampMs: finite('watermark', timestampMs) })
  }

  advanceTo(processingTimeMs: number): this {
    return this.#add({
      kind: 'advance',
      processingTimeMs: finite('advanceTo', processingTimeMs),
    })
  }

  end(): this {
    return this.#add({ kind: 'end' })
  }

  enumerator(): never {
    throw onlyInTests()
  }

  reader(): never {
    throw onlyInTests()
  }

  #add(step: TestStep): this {
    if (this.steps.at(-1)?.step.kind === 'end') {
      throw new EngineError('OPTION_INVALID', `A test source was given ${step.kind} after its end`)
    }
    this.steps.push({ place: ++lastPlace, step })
    return this
  }
}

/** The script of one source as one run plays it. */
export class ScriptPlayer {
  readonly source: Source<unknown>
  readonly watermarks: WatermarkStrategy
  #queue: TestRecord<unknown>[] = []
  #watermarkMs = WATERMARK_MIN
  #isWatermarkNew = false
  #hasEnded = false
  #available: () => void = () => {}

  constructor() {
    this.source = {
      type: 'test',
      isBounded: false,
      enumerator: () => ({
        async discover(known) {
          return known.size > 0 ? [] : [{ id: 'script', data: null }]
        },
      }),
      reader: (context) => ({
        open: () => {
          // only the subtask that was dealt the split is told of news
          this.#available = () => context.available()
          return this.#open()
        },
      }),
    }
    this.watermarks = { name: SCRIPTED.name, open: () => ({ advance: () => this.#watermarkMs }) }
  }

  play(step: Exclude<TestStep, { readonly kind: 'advance' }>): void {
    switch (step.kind) {
      case 'emit':
        this.#queue.push(...step.records)
        break
      case 'watermark':
        this.#watermarkMs = Math.max(this.#watermarkMs, step.timestampMs)
        this.#isWatermarkNew = true
        break
      case 'end':
        this.#hasEnded = true
        break
    }
    this.#available()
  }

  #open(): SplitReader {
    return {
      read: (batch, recordsMax) => this.#read(batch, recordsMax),
      position: () => null,
    }
  }

  #read(batch: RecordBatch, recordsMax: number): 'records' | 'empty' | 'ended' {
    const taken = this.#queue.splice(0, recordsMax)
    taken.forEach(({ value, timestampMs }, row) => {
      batch.values[row] = copyValue(value)
      batch.timestamps[row] = timestampMs
    })
    batch.count = taken.length
    // a batch without records carries the watermark alone
    const isNews = taken.length > 0 || this.#isWatermarkNew
    this.#isWatermarkNew = false
    if (isNews) return 'records'
    return this.#hasEnded ? 'ended' : 'empty'
  }
}

function finite(step: string, timeMs: number): number {
  if (Number.isFinite(timeMs)) return timeMs
  throw new EngineError(
    'OPTION_INVALID',
    `${step} of a test source takes a finite number of milliseconds, but was given ${timeMs}`,
  )
}

function onlyInTests(): EngineError {
  return new EngineError(
    'OPTION_INVALID',
    'A test source has no input of its own; run its job with runTest of millrace/testing',
  )
}
