/** Waits for the end of all, and rejects with the first failure only then: nothing is under way any more when it settles. */
export async function settleAll(work: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(work)) {
    if (result.status === 'rejected') throw result.reason
  }
}
