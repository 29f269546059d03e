/** Latencies in a few figures. Pure. */
export interface Percentiles {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  readonly maxMs: number
  readonly results: number
}

/** Of each percentile the least latency that so many are not above. NaN where there is none. */
export function percentilesOf(latenciesMs: readonly number[]): Percentiles {
  const sorted = Float64Array.from(latenciesMs).sort()
  const at = (share: number): number => rounded(sorted[Math.ceil(sorted.length * share) - 1] ?? NaN)
  return {
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    p999Ms: at(0.999),
    maxMs: at(1),
    results: sorted.length,
  }
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000
}
