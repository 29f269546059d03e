/**
 * The entry point `millrace/dataflow`: grouping by key and window in the steps of The Dataflow Model (Akidau et al., VLDB 2015),
 * as functions of lists. For those who test a window function of their own, or want to see what the engine computes.
 */
export {
  assignWindows,
  dropTimestamps,
  expandToElements,
  groupAlsoByWindow,
  groupByKey,
  groupByKeyAndWindow,
  mergeWindows,
} from './group-by-key-and-window.ts'
export type {
  KeyedElement,
  KeyedValues,
  KeyedWindows,
  TimedElement,
  WindowedElement,
  WindowedValue,
} from './group-by-key-and-window.ts'
