/**
 * A savepoint: the database as it was at the barrier, read by an iterator and written as canonical pages, group by group, while the
 * store goes on.
 *
 *  1. When everything sealed is on disk, iterators are made, which stand for that moment; the store is let go.
 *  2. Which slice each incarnation is, is read first; cells of incarnations that are no slice's are garbage and left out.
 *  3. Chunks of entries are read ahead, one while the other is worked off by `step`.
 *
 * Bounds: two chunks of `CHUNK_ENTRIES_MAX` entries and one page in memory. Nothing is written while `writer.isFull`; the writer's own
 * wake brings `step` back.
 */
import type { StatePage } from '../../src/contract/snapshot-storage.ts'
import type { AnyKey } from '../../src/core/key.ts'
import { assert } from '../../src/core/errors.ts'
import { decodeValue } from '../../src/core/value-codec.ts'
import type { DiskCursor, DiskEntry } from './disk-table.ts'
import { readCellKey } from './key-cells.ts'
import { isPackKey, rangeOfGroups, readPrefix } from './key-layout.ts'
import { eachOfPack } from './number-pack.ts'
import { SliceNames, readSliceKey } from './slice-names.ts'
import { LevelSnapshot } from './snapshot-host.ts'
import { decodeSliceCell } from './slice-keys.ts'
import type { StoredState } from './state-directory.ts'
import { decodeTimers } from './timer-segment.ts'

/** Entries of the database read at a time. */
const CHUNK_ENTRIES_MAX = 1000
/** Entries of a page, exceeded by one pack at most. */
const PAGE_ENTRIES_MAX = 1000
/** Encoded bytes of a page, exceeded by one entry at most. */
const PAGE_BYTES_MAX = 128 * 1024

const noEntries: readonly DiskEntry[] = []

export class PageSnapshot extends LevelSnapshot {
  protected override readonly format: string = 'pages'
  readonly #cursors: DiskCursor[] = []
  readonly #byId: ReadonlyMap<number, StoredState> = new Map(
    this.host.states.map((state) => [state.id, state]),
  )
  #slices: SliceNames | undefined = undefined
  /** Being worked off. */
  #chunk = noEntries
  #chunkAt = 0
  /** Read ahead. */
  #nextChunk: readonly DiskEntry[] | undefined = undefined
  /** Lets the reading go on when the chunk that was read ahead has been taken. */
  #onTaken: (() => void) | undefined = undefined
  /** Lets `take` end when the last page has been written. */
  #onWritten: (() => void) | undefined = undefined
  #isWritten = false
  #page: PageBuilder | undefined = undefined

  override step(entriesMax: number): 'more' | 'waiting' | 'written' {
    if (this.isOver || this.#isWritten) return 'written'
    if (this.holdsWrites) {
      const flushed = this.host.flushSealed(entriesMax)
      return flushed === 'flushed' ? 'waiting' : flushed
    }
    try {
      return this.#writePages(entriesMax)
    } catch (error) {
      this.fail(error)
      return 'written'
    }
  }

  protected override async take(): Promise<void> {
    const slices = SliceNames.begin(this.host.table, this.host.states, this.#cursors)
    const cells = this.host.table.iterate(rangeOfGroups(this.host.keyGroups), 'entries')
    this.#cursors.push(cells)
    this.release()
    this.#slices = await slices
    while (!this.isOver) {
      const chunk = await cells.next(CHUNK_ENTRIES_MAX)
      if (this.isOver) return
      const isTaken = new Promise<void>((resolve) => {
        this.#onTaken = resolve
      })
      this.#nextChunk = chunk
      this.host.wake()
      await isTaken
      if (chunk.length === 0) break
    }
    if (this.#isWritten || this.isOver) return
    await new Promise<void>((resolve) => {
      this.#onWritten = resolve
    })
  }

  protected override async free(): Promise<void> {
    this.#chunk = noEntries
    this.#nextChunk = undefined
    for (const cursor of this.#cursors) await cursor.close()
  }

  protected override onOver(): void {
    this.#onTaken?.()
    this.#onWritten?.()
  }

  #writePages(entriesMax: number): 'more' | 'waiting' | 'written' {
    for (let left = entriesMax; left > 0; left--) {
      if (this.request.writer.isFull) return 'waiting'
      if (this.#chunkAt === this.#chunk.length) {
        if (this.#nextChunk === undefined) return 'waiting'
        this.#chunk = this.#nextChunk
        this.#chunkAt = 0
        this.#nextChunk = undefined
        this.#onTaken?.()
        if (this.#chunk.length === 0) {
          this.#writePage()
          this.#isWritten = true
          this.#onWritten?.()
          return 'written'
        }
      }
      this.#addEntry(this.#chunk[this.#chunkAt++] as DiskEntry)
    }
    return 'more'
  }

  #addEntry({ key, value }: DiskEntry): void {
    const { group, stateId } = readPrefix(key)
    const state = this.#byId.get(stateId)
    if (state === undefined) return
    const page = this.#pageOf(group, state)
    page.bytes += key.length + value.length
    switch (state.layout) {
      case 'key':
      case 'page': {
        if (state.layout === 'key' && isPackKey(key)) {
          eachOfPack(value, (cellKey, cell) => page.add(cellKey, 0, cell))
          break
        }
        const cell = readCellKey(key, state.layout)
        page.add(cell.key, cell.sub, decodeValue(value))
        break
      }
      case 'slice': {
        const cell = readSliceKey(key)
        assert(this.#slices !== undefined, 'The slices are read before the cells')
        const slice = this.#slices.sliceOf(stateId, cell.incarnation)
        if (slice !== undefined) page.add(cell.key, slice, decodeSliceCell(value).value)
        break
      }
      case 'timers':
        decodeTimers(value, (timestampMs, timerKey) => page.addTimer(timerKey, timestampMs))
    }
  }

  /** The page that takes the next entry; the one before is written if it is another's or has enough. */
  #pageOf(group: number, state: StoredState): PageBuilder {
    const page = this.#page
    if (page?.group === group && page.state === state && !page.isFull) return page
    this.#writePage()
    this.#page = new PageBuilder(group, state)
    return this.#page
  }

  #writePage(): void {
    if (this.#page !== undefined && !this.#page.isEmpty) {
      this.request.writer.page(this.#page.build())
    }
    this.#page = undefined
  }
}

/** A page being filled. */
class PageBuilder {
  readonly group: number
  readonly state: StoredState
  bytes = 0
  readonly #keys: AnyKey[] = []
  readonly #subs: number[] = []
  readonly #values: unknown[] = []

  constructor(group: number, state: StoredState) {
    this.group = group
    this.state = state
  }

  get isFull(): boolean {
    return this.#keys.length >= PAGE_ENTRIES_MAX || this.bytes >= PAGE_BYTES_MAX
  }

  get isEmpty(): boolean {
    return this.#keys.length === 0
  }

  add(key: AnyKey, sub: number, value: unknown): void {
    this.#keys.push(key)
    this.#subs.push(sub)
    this.#values.push(value)
  }

  addTimer(key: AnyKey, timestampMs: number): void {
    this.#keys.push(key)
    this.#subs.push(timestampMs)
  }

  build(): StatePage {
    const { group, state } = this
    const page = { group, state: state.name, keys: this.#keys }
    if (state.layout === 'timers') return { ...page, subs: this.#subs }
    if (state.layout === 'key') return { ...page, values: this.#values }
    return { ...page, subs: this.#subs, values: this.#values }
  }
}
