/** The two ways pages get into files: LevelDB for checkpoints, plain page files for savepoints. Used by one snapshot writer each. */
import { join } from 'node:path'
import type { SnapshotTarget, StatePage } from '../../contract/snapshot-storage.ts'
import type { FileSystem } from './file-system.ts'
import { PageDatabase } from './page-database.ts'
import type { PageEntry } from './page-database.ts'
import { endFrame, headerFrame, pageFrame } from './page-file.ts'

/** Takes pages. `add` encodes at once; `flush`, `close` and `abort` are called one after the other. */
export interface PageSink {
  /** Bytes that wait for `flush` because of it. */
  add(page: StatePage): number
  /** Writes what waits; how many bytes that were. */
  flush(): Promise<number>
  /** Ends the files and tells which there are. */
  close(): Promise<readonly PageSinkFile[]>
  abort(): Promise<void>
}

export interface PageSinkFile {
  readonly name: string
  readonly isImmutable: boolean
}

/** Written by LevelDB for itself, of no use to a reader. */
const UNUSED_FILES = /^(LOCK|LOG|LOG\.old)$/
const BATCH_BYTES = 1 << 20

export class DatabasePages implements PageSink {
  readonly #files: FileSystem
  readonly #directory: string
  #database: PageDatabase | undefined
  #waiting: PageEntry[] = []

  constructor(files: FileSystem, directory: string) {
    this.#files = files
    this.#directory = directory
  }

  add(page: StatePage): number {
    const entry = PageDatabase.entry(page)
    this.#waiting.push(entry)
    return entry.value.length
  }

  async flush(): Promise<number> {
    const waiting = this.#waiting
    if (waiting.length === 0) return 0
    this.#waiting = []
    this.#database ??= await PageDatabase.create(this.#directory)
    let bytes = 0
    let batch: PageEntry[] = []
    let batchBytes = 0
    for (const entry of waiting) {
      batch.push(entry)
      batchBytes += entry.value.length
      if (batchBytes < BATCH_BYTES) continue
      await this.#database.write(batch)
      bytes += batchBytes
      batch = []
      batchBytes = 0
    }
    if (batch.length > 0) await this.#database.write(batch)
    return bytes + batchBytes
  }

  async close(): Promise<readonly PageSinkFile[]> {
    await this.flush()
    await this.#database?.close()
    const names = await this.#files.list(this.#directory)
    return names
      .filter((name) => !UNUSED_FILES.test(name))
      .map((name) => ({ name, isImmutable: name.endsWith('.ldb') }))
  }

  async abort(): Promise<void> {
    await this.#database?.close()
  }
}

/** A page file is ended when it has so many bytes: readers take a file at a time. */
const FILE_BYTES = 64 << 20

export class FilePages implements PageSink {
  readonly #files: FileSystem
  readonly #directory: string
  readonly #target: SnapshotTarget
  readonly #names: string[] = []
  #waiting: Buffer[] = []
  #fileBytes = 0

  constructor(files: FileSystem, directory: string, target: SnapshotTarget) {
    this.#files = files
    this.#directory = directory
    this.#target = target
  }

  add(page: StatePage): number {
    const frame = pageFrame(page)
    this.#waiting.push(frame)
    return frame.length
  }

  async flush(): Promise<number> {
    const waiting = this.#waiting
    this.#waiting = []
    let bytes = 0
    for (const frame of waiting) {
      if (this.#fileBytes > 0 && this.#fileBytes + frame.length > FILE_BYTES) await this.#endFile()
      if (this.#fileBytes === 0) this.#beginFile()
      const parts = this.#fileBytes === 0 ? [this.#header(), frame] : [frame]
      const content = Buffer.concat(parts)
      await this.#files.append(this.#path(), content)
      this.#fileBytes += content.length
      bytes += frame.length
    }
    return bytes
  }

  async close(): Promise<readonly PageSinkFile[]> {
    await this.flush()
    if (this.#fileBytes > 0) await this.#endFile()
    return this.#names.map((name) => ({ name, isImmutable: true }))
  }

  async abort(): Promise<void> {}

  #beginFile(): void {
    this.#names.push(`state-${String(this.#names.length).padStart(4, '0')}`)
  }

  async #endFile(): Promise<void> {
    await this.#files.append(this.#path(), endFrame())
    this.#fileBytes = 0
  }

  #path(): string {
    return join(this.#directory, this.#names.at(-1) ?? '')
  }

  #header(): Buffer {
    const { operatorUid, subtaskIndex, checkpointId, keyGroups } = this.#target
    return headerFrame({
      millrace: 'state',
      format: 1,
      operatorUid,
      subtaskIndex,
      checkpointId,
      keyGroups,
    })
  }
}
