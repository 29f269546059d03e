/** Rounds in which each of several things is measured once. Machines drift, so each has its turn in every round. */

/** What `measure` answered, by name, in the order of the rounds; the order within a round turns from round to round. */
export function inTurn<E extends { readonly name: string }, T>(
  roundCount: number,
  each: readonly E[],
  measure: (one: E, round: number) => T,
): Map<string, T[]> {
  const outcomes = new Map<string, T[]>(each.map(({ name }) => [name, []]))
  for (let round = 0; round < roundCount; round++) {
    for (let turn = 0; turn < each.length; turn++) {
      const one = each[(round + turn) % each.length] as E
      outcomes.get(one.name)?.push(measure(one, round))
    }
  }
  return outcomes
}
