/** What users and operators count. Cheap enough for the record path: a counter is a field of an object. */

/** Metrics of a subtask, named below the operator's uid. */
export interface Metrics {
  /** Only grows. Asking twice for one name gives the same counter. */
  counter(name: string): Counter
  /** Read when the metrics are collected. */
  gauge(name: string, read: () => number): void
}

export interface Counter {
  add(count?: number): void
}

/** For whoever has nobody to count for. */
export const silentMetrics: Metrics = { counter: () => ({ add() {} }), gauge() {} }
