/**
 * One file of a file sink, from its first block to the moment it is staged.
 *
 *  1. Blocks are written one behind the other, under the name for files that are being written.
 *  2. `finish`: when the last is written, the file is synced, closed, and given its staged name.
 *
 * Invariants
 *  - A staged name is only ever that of a whole file whose bytes survive a crash; the name does once the directory is synced.
 *  - After a failure nothing more is written: a sync that failed once may succeed the next time without having written.
 *
 * Called on the subtask's thread and never waits; costs a few promises for a block.
 */
import { openName } from './part-name.ts'
import type { SinkDirectory, SinkFile } from './sink-directory.ts'

/** What its sink wants to know. */
export interface PartFileEvents {
  /** A block is written and is the sink's again. */
  onWritten(block: Buffer): void
  /** Called once. */
  onFailed(error: unknown): void
}

export class PartFile {
  /** The name it has when it is staged. */
  readonly name: string
  /** Of all blocks, written or not. */
  bytes = 0
  readonly #directory: SinkDirectory
  readonly #events: PartFileEvents
  #file: SinkFile | undefined
  /** Settles when all that was asked for so far is done. */
  #tail: Promise<void> = Promise.resolve()
  #isFailed = false

  constructor(directory: SinkDirectory, name: string, events: PartFileEvents) {
    this.name = name
    this.#directory = directory
    this.#events = events
  }

  /** Takes a block; it must not be changed until it is handed back. */
  append(block: Buffer): void {
    this.bytes += block.length
    this.#then(() => this.#write(block))
  }

  /** Settles when the file is staged. Rejects with the first thing that failed. */
  finish(): Promise<void> {
    this.#then(() => this.#stage())
    return this.#tail
  }

  /** Waits for what is under way, and leaves nothing behind. Never rejects. */
  async abandon(): Promise<void> {
    try {
      await this.#tail
    } catch {
      // whoever asked for what failed has been told
    }
    try {
      await this.#closeFile()
      await this.#directory.remove(openName(this.name))
      await this.#directory.remove(this.name)
    } catch {
      // the next run discards what is left
    }
  }

  #then(step: () => Promise<void>): void {
    this.#tail = this.#tail.then(step)
    this.#tail.catch((error: unknown) => {
      if (this.#isFailed) return
      this.#isFailed = true
      this.#events.onFailed(error)
      // what the file holds is of no use any more, and neither is what closing it says
      this.#closeFile().catch(() => undefined)
    })
  }

  async #write(block: Buffer): Promise<void> {
    this.#file ??= await this.#directory.create(openName(this.name))
    await this.#file.write(block)
    this.#events.onWritten(block)
  }

  async #stage(): Promise<void> {
    await this.#file?.sync()
    await this.#closeFile()
    await this.#directory.rename(openName(this.name), this.name)
  }

  async #closeFile(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close()
  }
}
