/** A source that makes its records from their numbers: for tests, demos and benchmarks. */
import type { ReaderContext, Source, Split, SplitReader } from '../../src/contract/source.ts'
import { EngineError } from '../../src/core/errors.ts'
import type { RecordBatch } from '../../src/core/record-batch.ts'

/** What is generated, how much and how fast. */
export interface GenerateOptions<T> {
  /** Default: without end. */
  readonly count?: number
  /** Default: as fast as possible. */
  readonly recordsPerSecond?: number
  /** Makes record `index`; a new value each time, and the same one for the same index. */
  readonly record: (index: number) => T
}

/**
 * `record(index)` for 0 <= index < count, on all subtasks together; replayable, so exactly once. With parallelism P subtask
 * p makes the records whose index modulo P is p, in order.
 *
 * @example
 * env.from('numbers', generate({ count: 1000, record: (index) => ({ n: index }) }))
 */
export function generate<T>(options: GenerateOptions<T>): Source<T> {
  const { count = Infinity, recordsPerSecond = Infinity, record } = options
  if (count !== Infinity && (!Number.isSafeInteger(count) || count < 0)) {
    throw new EngineError(
      'OPTION_INVALID',
      `generate: count must be a whole number from 0, but is ${count}`,
    )
  }
  if (!(recordsPerSecond > 0)) {
    throw new EngineError(
      'OPTION_INVALID',
      `generate: recordsPerSecond must be above 0, but is ${recordsPerSecond}`,
    )
  }
  return {
    type: 'generate',
    isBounded: count !== Infinity,
    details: {
      ...(count === Infinity ? {} : { count }),
      ...(recordsPerSecond === Infinity ? {} : { recordsPerSecond }),
    },
    enumerator: ({ parallelism }) => ({
      async discover(known) {
        // the splits of the first start stay, whatever the parallelism becomes: each is a residue class
        if (known.size > 0) return []
        return Array.from({ length: parallelism }, (_, first) => ({
          id: `${first} of ${parallelism}`,
          data: { first, step: parallelism },
          position: first,
        }))
      },
    }),
    reader: (context) => ({
      open: (split) => new GenerateReader(split, { count, recordsPerSecond, record }, context),
    }),
  }
}

class GenerateReader<T> implements SplitReader {
  readonly #options: Required<GenerateOptions<T>>
  readonly #context: ReaderContext
  readonly #step: number
  #next: number
  /** When this reader began, for the rate: what a restart finds due is made up for only from then on. */
  #startMs = NaN
  #made = 0

  constructor(split: Split, options: Required<GenerateOptions<T>>, context: ReaderContext) {
    this.#options = options
    this.#context = context
    this.#step = (split.data as { readonly step: number }).step
    this.#next = split.position as number
  }

  read(batch: RecordBatch, recordsMax: number): 'records' | 'empty' | 'ended' {
    const { count, record } = this.#options
    if (this.#next >= count) return 'ended'
    const left = Math.ceil((count - this.#next) / this.#step)
    const due = this.#due(Math.min(recordsMax, left))
    if (due === 0) return 'empty'
    const { values, timestamps } = batch
    let index = this.#next
    for (let row = 0; row < due; row++) {
      values[row] = record(index)
      index += this.#step
    }
    timestamps.fill(NaN, 0, due)
    batch.count = due
    this.#next = index
    this.#made += due
    return 'records'
  }

  position(): number {
    return this.#next
  }

  /** How many of `wanted` the rate allows now; asks to be called again where that is none. */
  #due(wanted: number): number {
    const { recordsPerSecond } = this.#options
    if (recordsPerSecond === Infinity) return wanted
    const nowMs = this.#context.clock.now()
    if (Number.isNaN(this.#startMs)) this.#startMs = nowMs
    const perMs = recordsPerSecond / this.#step / 1000
    const allowed = Math.floor((nowMs - this.#startMs) * perMs) + 1 - this.#made
    if (allowed > 0) return Math.min(wanted, allowed)
    this.#context.availableAt(Math.ceil(this.#startMs + this.#made / perMs))
    return 0
  }
}
