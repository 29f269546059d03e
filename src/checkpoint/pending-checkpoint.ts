/**
 * A checkpoint between its trigger and its manifest: who has answered, who has not. Pure.
 *
 * Invariant: it becomes complete once, when every subtask it was asked of has acknowledged; an answer that comes twice or from
 * somebody else is ignored.
 */
import type { SnapshotHandle } from '../contract/snapshot-storage.ts'
import type { CellState } from '../contract/state-backend.ts'
import { KEY_HASH_NAME } from '../core/key-hash.ts'
import type { CheckpointMark } from './alignment.ts'
import type { Manifest, OperatorManifest, SubtaskManifest } from './manifest.ts'

/** One subtask's part, as it acknowledges it. Plain data. */
export interface SubtaskAck {
  readonly taskId: number
  readonly subtaskIndex: number
  readonly operators: readonly OperatorAck[]
}

/** What a subtask says of one of its operators. */
export interface OperatorAck {
  readonly uid: string
  readonly type: string
  readonly parallelism: number
  readonly states: readonly CellState[]
  readonly watermarkMs: number
  readonly keyed?: SnapshotHandle
  readonly items?: Uint8Array
}

export interface PendingCheckpointOptions {
  readonly mark: CheckpointMark
  /** `task/subtask` of all that must answer, with what messages call them. */
  readonly expected: ReadonlyMap<string, string>
  /** By uid of a source: the splits dealt out when the checkpoint was triggered. */
  readonly knownSplits: ReadonlyMap<string, readonly string[]>
}

/** How a subtask is called in `PendingCheckpointOptions.expected`. */
export function subtaskId(taskId: number, subtaskIndex: number): string {
  return `${taskId}/${subtaskIndex}`
}

export class PendingCheckpoint {
  readonly mark: CheckpointMark
  readonly #options: PendingCheckpointOptions
  readonly #acks = new Map<string, SubtaskAck>()

  constructor(options: PendingCheckpointOptions) {
    this.mark = options.mark
    this.#options = options
  }

  /** Takes an acknowledgement; whether the checkpoint is complete by it. */
  acknowledge(ack: SubtaskAck): boolean {
    const id = subtaskId(ack.taskId, ack.subtaskIndex)
    if (!this.#options.expected.has(id) || this.#acks.has(id)) return false
    this.#acks.set(id, ack)
    return this.#acks.size === this.#options.expected.size
  }

  /** Who has not answered. */
  missing(): string[] {
    return [...this.#options.expected].filter(([id]) => !this.#acks.has(id)).map(([, name]) => name)
  }

  /** The manifest of the complete checkpoint. */
  manifest(
    about: Pick<
      Manifest,
      'jobName' | 'lineage' | 'completedAtMs' | 'maxParallelism' | 'isSelfContained'
    >,
  ): Manifest {
    const operators = this.#operators()
    const sharesNothing = operators.every(({ subtasks }) =>
      subtasks.every(({ keyed }) => keyed === undefined || keyed.format === 'pages'),
    )
    return {
      kind: this.mark.kind,
      checkpointId: this.mark.checkpointId,
      keyHash: KEY_HASH_NAME,
      ...about,
      isSelfContained: about.isSelfContained || sharesNothing,
      operators,
    }
  }

  #operators(): OperatorManifest[] {
    const byUid = new Map<string, { ack: OperatorAck; subtasks: SubtaskManifest[] }>()
    for (const { subtaskIndex, operators } of this.#acks.values()) {
      for (const ack of operators) {
        let operator = byUid.get(ack.uid)
        if (operator === undefined) {
          operator = { ack, subtasks: [] }
          byUid.set(ack.uid, operator)
        }
        operator.subtasks.push({
          subtaskIndex,
          watermarkMs: ack.watermarkMs,
          ...(ack.keyed === undefined ? {} : { keyed: ack.keyed }),
          ...(ack.items === undefined ? {} : { items: ack.items }),
        })
      }
    }
    return [...byUid.values()].map(({ ack, subtasks }) => {
      const known = this.#options.knownSplits.get(ack.uid)
      return {
        uid: ack.uid,
        type: ack.type,
        parallelism: ack.parallelism,
        states: ack.states,
        subtasks: subtasks.sort((a, b) => a.subtaskIndex - b.subtaskIndex),
        ...(known === undefined ? {} : { knownSplits: known }),
      }
    })
  }
}
