/**
 * When a subtask takes its part of a checkpoint: once its barrier came on every channel that has not ended (Carbone et al.,
 * Lightweight Asynchronous Snapshots). Pure: facts go in, decisions come out, the caller carries them out.
 *
 * Invariants
 *  - Ids of snapshots that are begun or abandoned only grow; a barrier that is not above them is ignored.
 *  - With `exactlyOnce` a channel whose barrier came stays blocked until the snapshot or the end of the alignment, so that
 *    nothing from behind the barrier gets into the snapshot. At-least-once blocks nothing.
 *  - An ended channel counts as having every later barrier. A subtask whose channels have all ended (a source has none)
 *    goes by the coordinator's word alone.
 */
export type AlignmentStep =
  /** Take nothing more from this channel for now. */
  | { readonly kind: 'block'; readonly channelIndex: number }
  /** Take the snapshot and send the barrier on; then all channels are open again. */
  | { readonly kind: 'snapshot'; readonly checkpoint: CheckpointMark }
  /** The checkpoint will not be taken here; all channels are open again. */
  | { readonly kind: 'abandon'; readonly checkpointId: number }

/** Which checkpoint. */
export interface CheckpointMark {
  readonly checkpointId: number
  readonly kind: 'checkpoint' | 'savepoint'
}

export class Alignment {
  readonly #exactlyOnce: boolean
  readonly #hasEnded: boolean[]
  readonly #hasBarrier: boolean[]
  /** The checkpoint being aligned. */
  #current: CheckpointMark | undefined
  /** The highest id begun, taken or abandoned. */
  #highestId = 0
  /** What the coordinator asked for last. */
  #asked: CheckpointMark | undefined

  constructor(channelCount: number, options: { readonly exactlyOnce: boolean }) {
    this.#exactlyOnce = options.exactlyOnce
    this.#hasEnded = new Array<boolean>(channelCount).fill(false)
    this.#hasBarrier = new Array<boolean>(channelCount).fill(false)
  }

  /** Whether some barriers of a checkpoint came and others did not. */
  get isAligning(): boolean {
    return this.#current !== undefined
  }

  /** A barrier came out of a channel. */
  onBarrier(channelIndex: number, checkpoint: CheckpointMark): AlignmentStep[] {
    const { checkpointId } = checkpoint
    const steps: AlignmentStep[] = []
    if (this.#current === undefined || checkpointId > this.#current.checkpointId) {
      if (checkpointId <= this.#highestId) return []
      steps.push(...this.#abandonCurrent())
      this.#current = checkpoint
      this.#highestId = checkpointId
    } else if (checkpointId < this.#current.checkpointId) {
      return []
    }
    this.#hasBarrier[channelIndex] = true
    if (this.#exactlyOnce) steps.push({ kind: 'block', channelIndex })
    return [...steps, ...this.#complete()]
  }

  /** A channel has ended. */
  onEnd(channelIndex: number): AlignmentStep[] {
    this.#hasEnded[channelIndex] = true
    return this.#current === undefined ? this.#goByCoordinator() : this.#complete()
  }

  /** The coordinator asked for a checkpoint. Matters to subtasks to which no barrier will come. */
  onTrigger(checkpoint: CheckpointMark): AlignmentStep[] {
    if (checkpoint.checkpointId <= this.#highestId) return []
    this.#asked = checkpoint
    return this.#goByCoordinator()
  }

  /** The coordinator gave a checkpoint up. */
  onAbort(checkpointId: number): AlignmentStep[] {
    if (this.#asked?.checkpointId === checkpointId) this.#asked = undefined
    const steps = this.#current?.checkpointId === checkpointId ? this.#abandonCurrent() : []
    this.#highestId = Math.max(this.#highestId, checkpointId)
    return steps
  }

  #goByCoordinator(): AlignmentStep[] {
    const asked = this.#asked
    if (asked === undefined || this.#hasEnded.includes(false)) return []
    const steps = this.#abandonCurrent()
    this.#current = asked
    this.#highestId = asked.checkpointId
    return [...steps, ...this.#complete()]
  }

  #complete(): AlignmentStep[] {
    const checkpoint = this.#current
    if (checkpoint === undefined) return []
    for (let i = 0; i < this.#hasBarrier.length; i++) {
      if (this.#hasBarrier[i] !== true && this.#hasEnded[i] !== true) return []
    }
    this.#reset()
    if (this.#asked !== undefined && this.#asked.checkpointId <= checkpoint.checkpointId) {
      this.#asked = undefined
    }
    return [{ kind: 'snapshot', checkpoint }]
  }

  #abandonCurrent(): AlignmentStep[] {
    if (this.#current === undefined) return []
    const { checkpointId } = this.#current
    this.#reset()
    return [{ kind: 'abandon', checkpointId }]
  }

  #reset(): void {
    this.#current = undefined
    this.#hasBarrier.fill(false)
  }
}
