/**
 * What came of running several engines in turn on the same queries: medians, spreads and ratios. Pure.
 *
 * Machines drift: the same code is faster at noon than at one. So engines run in turn, round by round, and what is said of two of them
 * are ratios within a round; speeds are told beside them, for scale.
 */

/** One run of one engine: what its command printed. */
export interface Outcome {
  readonly seconds: number
  readonly eventsPerSecond: number
  readonly rows: number
  readonly checksum: number
  readonly maxRssMb?: number
  /** User and system time of the whole process, start included. */
  readonly cpuSeconds: number
}

/** One query with its options, run by every engine in every round. */
export interface Contest {
  /** `q5 p=2 checkpoints=1s`. */
  readonly title: string
  /** By engine, in the order of the rounds; the first engine is the one that others are compared with. */
  readonly outcomes: ReadonlyMap<string, readonly Outcome[]>
}

export interface Spread {
  readonly median: number
  readonly least: number
  readonly most: number
}

/** Throws where there is nothing to tell of. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  const upper = sorted[Math.floor(middle)]
  const lower = sorted[Math.ceil(middle) - 1]
  if (upper === undefined || lower === undefined) throw new RangeError('There is no run')
  return {
    median: (upper + lower) / 2,
    least: sorted[0] as number,
    most: sorted.at(-1) as number,
  }
}

/** Speeds of an engine over its rounds. */
export function speedsOf({ outcomes }: Contest, engine: string): Spread {
  return spreadOf((outcomes.get(engine) ?? []).map(({ eventsPerSecond }) => eventsPerSecond))
}

/** How many times as fast as `other` the engine was, round by round. */
export function ratiosOf({ outcomes }: Contest, engine: string, other: string): Spread {
  const others = outcomes.get(other) ?? []
  const ratios = (outcomes.get(engine) ?? []).flatMap(({ eventsPerSecond }, round) => {
    const against = others[round]
    return against === undefined ? [] : [eventsPerSecond / against.eventsPerSecond]
  })
  return spreadOf(ratios)
}

/** How many times the processor time of the engine `other` took, round by round: what a busy machine distorts least. */
export function cpuRatiosOf({ outcomes }: Contest, engine: string, other: string): Spread {
  const others = outcomes.get(other) ?? []
  const ratios = (outcomes.get(engine) ?? []).flatMap(({ cpuSeconds }, round) => {
    const against = others[round]
    return against === undefined ? [] : [against.cpuSeconds / cpuSeconds]
  })
  return spreadOf(ratios)
}

/** What engines disagree about; a figure of a wrong result is no figure. Empty where all outputs are equal. */
export function disagreements({ title, outcomes }: Contest): string[] {
  const seen = new Map<string, string[]>()
  for (const [engine, runs] of outcomes) {
    for (const { rows, checksum } of runs) {
      const output = `${rows} rows, checksum ${checksum}`
      const engines = seen.get(output) ?? []
      if (!engines.includes(engine)) engines.push(engine)
      seen.set(output, engines)
    }
  }
  if (seen.size <= 1) return []
  return [...seen].map(([output, engines]) => `${title}: ${engines.join(', ')}: ${output}`)
}
