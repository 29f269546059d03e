/**
 * What may happen to the rows of a stream. `DataStream<T>` is short for `DataStream<T, 'insert'>`: rows are only ever
 * added. `DataStream<T, ChangeKind>` also takes back rows it sent before. A stream of inserts fits wherever changes are
 * taken; a stream of changes fits only what understands retractions.
 */
export type ChangeKind = 'insert' | 'retract'

/**
 * One change of a stream with retractions, as `.changes()` makes records of it. A retraction comes before what replaces it. An update
 * whose two halves part on their way, because they go to different subtasks or one of them is filtered out, arrives as what is left
 * of it: retract, insert, or one after the other.
 */
export type Change<T> =
  | { readonly kind: 'insert'; readonly value: T }
  | { readonly kind: 'retract'; readonly value: T }
  | { readonly kind: 'update'; readonly previous: T; readonly value: T }
