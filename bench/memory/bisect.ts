/** The search for the smallest heap that is good enough. Pure. */

/**
 * The smallest of the sizes tried that is good: `mostBad` and `leastGood` close in on each other by ratio until they are at most
 * `closeRatio` apart. `leastGood` is known to be good, `mostBad` taken to be bad. Assumes that what is good stays so in more room.
 */
export async function smallestGood(options: {
  readonly mostBad: number
  readonly leastGood: number
  readonly closeRatio: number
  readonly isGood: (size: number) => Promise<boolean>
}): Promise<number> {
  let { mostBad, leastGood } = options
  while (leastGood / mostBad > options.closeRatio) {
    const size = Math.round(Math.sqrt(mostBad * leastGood))
    if (size === mostBad || size === leastGood) break
    if (await options.isGood(size)) leastGood = size
    else mostBad = size
  }
  return leastGood
}
