/**
 * The entry point `millrace/contract`: what is written against by whoever brings a connector, a format, windows, an operator or a
 * state backend of their own, with the words of the core that they need.
 */
export type { Aggregator } from './aggregator.ts'
export type { Format } from './format.ts'
export { EVENT_TIMERS, PROCESSING_TIMERS } from './operator.ts'
export type {
  FusedOperator,
  Gate,
  ItemsRestore,
  KeyedContext,
  Mailbox,
  OperatorContext,
  OperatorDescription,
  OperatorInstance,
  OperatorSnapshot,
  Output,
  SnapshotPoint,
  Timer,
  UserFunction,
} from './operator.ts'
export type { Committable, PreparedEpoch, Sink, SinkContext, SinkWriter } from './sink.ts'
export type {
  SnapshotFile,
  SnapshotHandle,
  SnapshotReader,
  SnapshotSourceFile,
  SnapshotStorage,
  SnapshotTarget,
  SnapshotWriter,
  StatePage,
} from './snapshot-storage.ts'
export type {
  EnumeratorContext,
  ReaderContext,
  Source,
  SourceReader,
  Split,
  SplitEnumerator,
  SplitPosition,
  SplitReader,
  WatermarkGenerator,
  WatermarkStrategy,
} from './source.ts'
export type {
  CellLayout,
  CellState,
  KeyedCells,
  KeyedSnapshot,
  KeyedStore,
  KeyedStoreOptions,
  SliceCells,
  SliceCursor,
  SnapshotRequest,
  StateBackend,
  StoreStatistics,
  TimerIndex,
} from './state-backend.ts'
export type {
  AggregatingState,
  ListState,
  MapState,
  ReadonlyHandle,
  ReadonlyMapState,
  Timers,
  ValueState,
} from './state.ts'
export type { Trigger, TriggerTime } from './trigger.ts'
export type {
  AlignedWindows,
  Pane,
  PaneOf,
  TimeWindow,
  Window,
  WindowFunction,
  WindowMerge,
} from './window.ts'

export type { Change, ChangeKind } from '../core/change.ts'
export type { UnreadRecord } from '../core/dead-letter.ts'
export { EngineError } from '../core/errors.ts'
export type { ErrorCode } from '../core/error-codes.ts'
export type { ErrorOptions, ErrorPlace } from '../core/errors.ts'
export type { KeyGroup } from '../core/ids.ts'
export { compareKeys, sameKey } from '../core/key.ts'
export type { AnyKey, Key, KeyPart } from '../core/key.ts'
export { keyGroupOf } from '../core/key-group.ts'
export type { KeyGroupRange } from '../core/key-group.ts'
export { hashKey } from '../core/key-hash.ts'
export type { LogFields, Logger } from '../core/log.ts'
export type { Counter, Metrics } from '../core/metrics.ts'
export { RecordBatch } from '../core/record-batch.ts'
export type { Clock, RecordTime } from '../core/time.ts'
export { checkValue, copyValue } from '../core/value.ts'
export { decodeValue, encodeValue } from '../core/value-codec.ts'
