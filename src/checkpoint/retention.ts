/** Which checkpoints are kept. Pure. */

/** What retention looks at. */
export interface RetainedCheckpoint {
  readonly checkpointId: number
  /** Whether it shares no file with earlier ones. */
  readonly isSelfContained: boolean
}

/**
 * The checkpoints that may go: all but the newest `retainCount` and the newest that shares no file with others, which recovery can
 * fall back to when a shared file is damaged.
 */
export function expiredCheckpoints(
  checkpoints: readonly RetainedCheckpoint[],
  options: { readonly retainCount: number },
): number[] {
  const newestFirst = [...checkpoints].sort((a, b) => b.checkpointId - a.checkpointId)
  const selfContained = newestFirst.find(({ isSelfContained }) => isSelfContained)
  return newestFirst
    .slice(options.retainCount)
    .filter(({ checkpointId }) => checkpointId !== selfContained?.checkpointId)
    .map(({ checkpointId }) => checkpointId)
}
