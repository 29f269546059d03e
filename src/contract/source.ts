/**
 * The contract between the engine and a source.
 *
 * A source is divided into *splits* (a file, a partition), each read from a *position* on. The coordinator asks which splits there
 * are and deals them to subtasks; a subtask reads its splits one batch at a time, choosing the one that is furthest behind
 * in event time. A split's position is part of every checkpoint: after a restore its reader begins exactly there.
 *
 * What a source must hold
 *  - Reading a split again from a position gives the same records in the same order (replayable).
 *  - `read` never waits: it fills from what is at hand and answers `'empty'` when there is nothing.
 */
import type { UnreadRecord } from '../core/dead-letter.ts'
import type { Logger } from '../core/log.ts'
import type { Metrics } from '../core/metrics.ts'
import type { RecordBatch } from '../core/record-batch.ts'
import type { Clock } from '../core/time.ts'
import type { Mailbox } from './operator.ts'

declare const brand: unique symbol

/** An input. Made by connectors; written with this contract. */
export interface Source<out T> {
  /** Only in the type: what the source reads. */
  readonly [brand]?: { readonly source: T }
  /** As plans show it: `generate`, `files`, `kafka`. */
  readonly type: string
  /** Whether every split ends and no new ones come. */
  readonly isBounded: boolean
  /** Options as plans show them; no secrets. */
  readonly details?: Readonly<Record<string, string | number | boolean>>
  /** How the watermark follows its records where the job does not say. Default: `monotonous()`. */
  readonly watermarks?: WatermarkStrategy
  /** Whether its readers send dead letters; then the job must read them. Default: false. */
  readonly sendsDeadLetters?: boolean
  /** The coordinator's side. */
  enumerator(context: EnumeratorContext): SplitEnumerator
  /** The side of one subtask. */
  reader(context: ReaderContext): SourceReader | Promise<SourceReader>
}

/** A part of a source that is read by one subtask at a time. Plain data in the value model; kept in checkpoints. */
export interface Split {
  /** Unique within the source, for ever: a split of this id is read once. */
  readonly id: string
  /** Whatever the reader needs to find it. */
  readonly data: unknown
  /** Where to begin; undefined for the beginning. */
  readonly position?: unknown
}

export interface EnumeratorContext {
  readonly operatorUid: string
  readonly parallelism: number
  readonly clock: Clock
  readonly logger: Logger
  readonly signal: AbortSignal
}

/** Finds splits. */
export interface SplitEnumerator {
  /**
   * The splits there are now, but for those in `known`. Called at the start, and again every `discoverEveryMs`. A rejection at
   * the start fails the job; later it is logged and tried again.
   */
  discover(known: ReadonlySet<string>): Promise<readonly Split[]>
  /** Default: looked for once, at the start. */
  readonly discoverEveryMs?: number
  /** Called after each completed checkpoint with the positions in it, for lag tools and the like. Errors are logged only. */
  onCheckpointComplete?(positions: readonly SplitPosition[]): Promise<void>
  close?(): Promise<void>
}

/** Where reading stood. */
export interface SplitPosition {
  readonly splitId: string
  readonly position: unknown
}

export interface ReaderContext {
  readonly operatorUid: string
  readonly subtaskIndex: number
  readonly parallelism: number
  readonly clock: Clock
  readonly logger: Logger
  readonly signal: AbortSignal
  readonly mailbox: Mailbox
  /** Says that a split which answered `'empty'` may have records. May be called from any callback. */
  available(): void
  /** The same, once processing time has reached `processingTimeMs`. The earliest asked for counts. */
  availableAt(processingTimeMs: number): void
  /** Fails the subtask from a callback. */
  fail(error: unknown): void
  readonly metrics: Metrics
  /**
   * Hands on a record that could not be decoded, from within `read` only, by a source that `sendsDeadLetters`. It leaves with what that
   * call reads, so the split's position tells of it as of any record. `timestampMs` NaN: the time of reading.
   */
  deadLetter(letter: UnreadRecord): void
}

/** The source's side of one subtask. */
export interface SourceReader {
  /** Begins with a split, at `split.position`. Must not wait; what takes time goes on behind `read`'s `'empty'`. */
  open(split: Split): SplitReader
  close?(): void | Promise<void>
}

/** Reads one split. */
export interface SplitReader {
  /**
   * Appends up to `recordsMax` records to the empty `batch`: `values`, and in `timestamps` the source's own timestamps (NaN where it
   * has none). `'records'`: some were added; `'empty'`: none now; `'ended'`: none now or ever.
   */
  read(batch: RecordBatch, recordsMax: number): 'records' | 'empty' | 'ended'
  /** Where the next record is read. In the value model; taken between two reads. */
  position(): unknown
  close?(): void | Promise<void>
}

/** How the watermark follows the records of a split. */
export interface WatermarkStrategy<in T = unknown> {
  /** Only in the type. */
  readonly [brand]?: (value: T) => void
  /** As plans show it: `outOfOrder 3s`. */
  readonly name: string
  /** A generator for one split. */
  open(): WatermarkGenerator
}

/** Follows one split. */
export interface WatermarkGenerator {
  /** The watermark after the batch, or -Infinity where it is unknown yet. Timestamps are event time here. */
  advance(batch: RecordBatch): number
}
