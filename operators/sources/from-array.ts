/** The values of an array as a source. */
import type { Source, SplitReader } from '../../src/contract/source.ts'
import type { RecordBatch } from '../../src/core/record-batch.ts'
import { copyValue } from '../../src/core/value.ts'

/**
 * The values in order, from one split; bounded and replayable. For tests and examples.
 *
 * @example
 * env.from('words', fromArray(['to', 'be', 'or', 'not']))
 */
export function fromArray<T>(values: readonly T[]): Source<T> {
  return {
    type: 'array',
    isBounded: true,
    details: { count: values.length },
    enumerator: () => ({
      async discover(known) {
        return known.size > 0 ? [] : [{ id: 'all', data: null, position: 0 }]
      },
    }),
    reader: () => ({ open: (split) => new ArrayReader(values, split.position as number) }),
  }
}

class ArrayReader implements SplitReader {
  readonly #values: readonly unknown[]
  #next: number

  constructor(values: readonly unknown[], next: number) {
    this.#values = values
    this.#next = next
  }

  read(batch: RecordBatch, recordsMax: number): 'records' | 'ended' {
    if (this.#next >= this.#values.length) return 'ended'
    const count = Math.min(recordsMax, this.#values.length - this.#next)
    for (let row = 0; row < count; row++) {
      // a copy, so that a job which changes its records reads the same ones after a restart
      batch.values[row] = copyValue(this.#values[this.#next + row])
      batch.timestamps[row] = NaN
    }
    batch.count = count
    this.#next += count
    return 'records'
  }

  position(): number {
    return this.#next
  }
}
