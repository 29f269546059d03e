/** The entry point `millrace`: everything a job is written with, and what runs it. */
export { job } from './api/job.ts'
export type { ExplainOptions, Job, JobOptions, ParamsOption } from './api/job.ts'
export type {
  BroadcastStream,
  DataStream,
  Env,
  KeyedHandlers,
  KeyedProcessSpec,
  KeyedResult,
  KeyedStream,
  LeftOf,
  MultiStream,
  OperatorOptions,
  PaneHandler,
  RightOf,
  SourceOptions,
  StatelessOptions,
  WindowedStream,
  WindowResult,
} from './api/streams.ts'

export { generate } from '../operators/sources/generate.ts'
export type { GenerateOptions } from '../operators/sources/generate.ts'
export { fromArray } from '../operators/sources/from-array.ts'
export { customWatermarks, monotonous, outOfOrder } from '../operators/sources/watermarks.ts'
export { printSink } from '../operators/sinks/print.ts'
export { arraySink } from '../operators/sinks/array.ts'
export type { JoinKind } from '../operators/join.ts'
export { mapSink } from '../operators/sinks/map.ts'
export { bytes } from '../operators/formats/bytes.ts'
export { deadLetterJson } from '../operators/formats/dead-letter-json.ts'
export { json } from '../operators/formats/json.ts'
export { messagePack } from '../operators/formats/message-pack.ts'
export { text } from '../operators/formats/text.ts'
export { globalWindow, sliding, tumbling } from '../operators/window/assigners.ts'
export type { AlignedOptions } from '../operators/window/assigners.ts'
export { calendar } from '../operators/window/calendar.ts'
export { session } from '../operators/window/session.ts'
export type {
  Accumulation,
  ManyPanes,
  OnePane,
  RetractionsOf,
  WindowOptions,
} from '../operators/window/window-options.ts'
export { afterCount } from '../operators/window/triggers/after-count.ts'
export { afterDelay } from '../operators/window/triggers/after-delay.ts'
export { afterRecord } from '../operators/window/triggers/after-record.ts'
export { afterWatermark } from '../operators/window/triggers/after-watermark.ts'
export type { AfterWatermarkOptions } from '../operators/window/triggers/after-watermark.ts'
export { every } from '../operators/window/triggers/every.ts'
export { inSequence } from '../operators/window/triggers/in-sequence.ts'
export { repeated } from '../operators/window/triggers/repeated.ts'
export { whenAll, whenAny } from '../operators/window/triggers/when-all.ts'
export {
  aggregator,
  average,
  collect,
  combine,
  count,
  max,
  maxBy,
  min,
  minBy,
  sum,
  top,
} from '../operators/aggregators.ts'
export type {
  BroadcastAccess,
  KeyedProcessContext,
  ProcessContext,
  RecordHandler,
  RecordInfo,
} from '../operators/process.ts'

export {
  aggregatingState,
  listState,
  mapState,
  reducingState,
  valueState,
} from './state/state-spec.ts'
export type { StateOptions, StateSpec } from './state/state-spec.ts'
export type { StateHandles, States } from './state/handles.ts'
export type {
  AggregatingState,
  ListState,
  MapState,
  ReadonlyMapState,
  Timers,
  ValueState,
} from './contract/state.ts'
export type { Timer } from './contract/operator.ts'
export type { Aggregator } from './contract/aggregator.ts'
export type { Source, WatermarkStrategy } from './contract/source.ts'
export type { Sink } from './contract/sink.ts'
export type { Format } from './contract/format.ts'
export type {
  Pane,
  PaneOf,
  TimeWindow,
  Window,
  WindowFunction,
  WindowMerge,
} from './contract/window.ts'
export type { Trigger } from './contract/trigger.ts'

export { run, start } from './job/run.ts'
export type { JobResult, RestoredFrom, RunningJob, SavepointInfo } from './job/run.ts'
export type { Placement, RunOptions } from './job/run-options.ts'
export type { JobStatus } from './job/job-status.ts'
export type { CheckpointOptions, RestartOptions } from './plan/job-definition.ts'
export type { LevelDbOptions } from './contract/state-backend.ts'

export { type } from './core/schema.ts'
export type { Schema, SchemaResult } from './core/schema.ts'
export { ms } from './core/duration.ts'
export type { Duration } from './core/duration.ts'
export { EngineError, isEngineError } from './core/errors.ts'
export type { ErrorCode } from './core/error-codes.ts'
export type { Key, KeyPart } from './core/key.ts'
export type { DeadLetter } from './core/dead-letter.ts'
export type { Change, ChangeKind } from './core/change.ts'
export type { Counter, Metrics } from './core/metrics.ts'
export type { Logger } from './core/log.ts'
