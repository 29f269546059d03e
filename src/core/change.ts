/**
 * What may happen to the rows of a stream. `DataStream<T>` is short for `DataStream<T, 'insert'>`: rows are only ever
 * added. `DataStream<T, ChangeKind>` also takes back rows it sent before. A stream of inserts fits wherever changes are
 * taken; a stream of changes fits only what understands retractions.
 */
export type ChangeKind = 'insert' | 'retract'
