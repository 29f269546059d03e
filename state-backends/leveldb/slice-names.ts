/**
 * Which slice each incarnation of a database is, for whoever reads its cells from outside of a store. Read completely before the
 * cells; there is one for each slice, not for each cell.
 */
import type { AnyKey } from '../../src/core/key.ts'
import { KeyReader } from '../../src/core/key-bytes.ts'
import type { DiskCursor, DiskTable } from './disk-table.ts'
import { CELL_PREFIX_BYTES, localKind, rangeOfLocalKind, readLocalKey } from './key-layout.ts'
import { decodeSliceRecord } from './slice-keys.ts'
import type { StoredState } from './state-directory.ts'

const SLICES_READ_MAX = 1000
const incarnationBytes = 4

export class SliceNames {
  readonly #slices = new Map<number, Map<number, number>>()

  /**
   * Reads them as they are at the time of the call, whatever is written later. The iterations are added to `cursors` at once, for
   * the caller to close.
   */
  static async begin(
    table: DiskTable,
    states: readonly StoredState[],
    cursors: DiskCursor[],
  ): Promise<SliceNames> {
    const reads = states
      .filter(({ layout }) => layout === 'slice')
      .map(({ id }) => {
        const cursor = table.iterate(rangeOfLocalKind(id, localKind.slice), 'entries')
        cursors.push(cursor)
        return { id, cursor }
      })
    const names = new SliceNames()
    for (const { id, cursor } of reads) await names.#read(id, cursor)
    return names
  }

  /** Undefined for what is left of a slice that was dropped. */
  sliceOf(stateId: number, incarnation: number): number | undefined {
    return this.#slices.get(stateId)?.get(incarnation)
  }

  async #read(stateId: number, cursor: DiskCursor): Promise<void> {
    const slices = new Map<number, number>()
    this.#slices.set(stateId, slices)
    for (;;) {
      const entries = await cursor.next(SLICES_READ_MAX)
      if (entries.length === 0) return
      for (const { key, value } of entries) {
        slices.set(decodeSliceRecord(value).incarnation, readLocalKey(key).number)
      }
    }
  }
}

/** Whose cell of a slice it is, from the bytes of its key. */
export function readSliceKey(key: Buffer): { readonly key: AnyKey; readonly incarnation: number } {
  const incarnation = key.readUInt32BE(CELL_PREFIX_BYTES)
  const reader = new KeyReader(key, CELL_PREFIX_BYTES + incarnationBytes)
  return { key: reader.read(), incarnation }
}
