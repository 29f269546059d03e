/**
 * Checkpoints in memory, for jobs that live as long as a test. Manifests and pages are kept as the bytes that a disk would keep, so what
 * does not survive being written shows.
 */
import type { CheckpointStore } from '../checkpoint/checkpoint-store.ts'
import { decodeManifest, encodeManifest } from '../checkpoint/manifest.ts'
import type {
  SnapshotHandle,
  SnapshotReader,
  SnapshotStorage,
  SnapshotTarget,
  SnapshotWriter,
  StatePage,
} from '../contract/snapshot-storage.ts'
import { EngineError, InvariantError } from '../core/errors.ts'
import type { Fence } from '../core/ids.ts'
import type { KeyGroupRange } from '../core/key-group.ts'
import { decodeValue, encodeValue } from '../core/value-codec.ts'

export class MemoryCheckpoints {
  readonly store: CheckpointStore
  readonly storage: SnapshotStorage
  readonly #manifests = new Map<number, Uint8Array>()
  readonly #snapshots = new Map<string, readonly Uint8Array[]>()
  readonly #ledgers = new Map<string, unknown[]>()
  #lastId = 0
  #snapshotCount = 0

  constructor() {
    this.storage = {
      writer: (target) => new PageWriter(target, (pages) => this.#keep(pages)),
      reader: async (handle) => this.#reader(handle),
    }
    this.store = {
      fence: 0 as Fence,
      list: async () => [...this.#manifests.keys()],
      load: async (checkpointId) => {
        const bytes = this.#manifests.get(checkpointId)
        if (bytes !== undefined) return decodeManifest(bytes, `checkpoint ${checkpointId}`)
        throw new EngineError('CHECKPOINT_CORRUPT', `There is no checkpoint ${checkpointId}`)
      },
      async verify() {},
      reserve: async () => ++this.#lastId,
      async checkOwner() {},
      ownsLineage: async () => true,
      async takeLineage() {},
      ledger: (operatorUid) => {
        const entries = this.#ledgers.get(operatorUid) ?? []
        this.#ledgers.set(operatorUid, entries)
        return {
          entries: async () => entries,
          add: async (entry) => void entries.push(entry),
          owns: async () => true,
        }
      },
      publish: async (manifest) => {
        this.#manifests.set(manifest.checkpointId, encodeManifest(manifest))
      },
      discard: async (checkpointId) => {
        this.#manifests.delete(checkpointId)
      },
      async sweep() {},
      savepointDirectory: refuse,
      publishSavepoint: refuse,
      discardSavepoint: refuse,
      async close() {},
    }
  }

  #keep(pages: readonly Uint8Array[]): string {
    const location = `snapshot-${this.#snapshotCount++}`
    this.#snapshots.set(location, pages)
    return location
  }

  #reader(handle: SnapshotHandle): SnapshotReader {
    const snapshots = this.#snapshots
    return {
      handle,
      async *pages(range: KeyGroupRange) {
        const pages = handle.files
          .flatMap(({ location }) => snapshots.get(location) ?? [])
          .map((bytes) => decodeValue(bytes) as StatePage)
          .filter(({ group }) => group >= range.start && group < range.end)
        yield* pages.sort((a, b) => a.group - b.group)
      },
      materialize: refuse,
      async close() {},
    }
  }
}

class PageWriter implements SnapshotWriter {
  readonly isFull = false
  readonly #target: SnapshotTarget
  readonly #keep: (pages: readonly Uint8Array[]) => string
  readonly #pages: Uint8Array[] = []

  constructor(target: SnapshotTarget, keep: (pages: readonly Uint8Array[]) => string) {
    this.#target = target
    this.#keep = keep
  }

  page(page: StatePage): void {
    this.#pages.push(encodeValue(page))
  }

  file(): never {
    throw new InvariantError('State in memory is written in pages')
  }

  async close(format: string): Promise<SnapshotHandle> {
    const bytes = this.#pages.reduce((sum, { length }) => sum + length, 0)
    const file = {
      name: 'pages',
      location: this.#keep(this.#pages),
      bytes,
      crc32: 0,
      isImmutable: true,
    }
    return { format, keyGroups: this.#target.keyGroups, files: [file] }
  }

  async abort(): Promise<void> {}
}

function refuse(): never {
  throw new InvariantError('A job under test takes no savepoints')
}
