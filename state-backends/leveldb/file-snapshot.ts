/**
 * A checkpoint as files of the database: what is shared with earlier checkpoints is linked, not written again.
 *
 * The files are first captured into a directory of the snapshot's own, while the store holds its writes (milliseconds: further names
 * for tables, a copy of the log). The storage takes them from there at its own pace, checksums included, and the store goes on:
 * whatever it compacts or deletes meanwhile, the captured names stay.
 */
import { settleAll } from './settle-all.ts'
import { LevelSnapshot } from './snapshot-host.ts'

/** Files the writer is given at a time, since each waits for a turn of a busy event loop. */
const FILES_AT_A_TIME = 16

/** The format of these snapshots in handles. */
export const LEVEL_FORMAT = 'leveldb'

export class FileSnapshot extends LevelSnapshot {
  protected override readonly format: string = LEVEL_FORMAT
  #directory: string | undefined = undefined

  override step(entriesMax: number): 'more' | 'waiting' | 'written' {
    if (this.isOver || !this.holdsWrites) return 'written'
    const flushed = this.host.flushSealed(entriesMax)
    return flushed === 'flushed' ? 'written' : flushed
  }

  protected override async take(): Promise<void> {
    this.#directory = this.host.newDirectory(`capture-${this.request.checkpointId}`)
    const files = await this.host.table.capture(this.#directory)
    this.release()
    for (let at = 0; at < files.length && !this.isOver; at += FILES_AT_A_TIME) {
      const some = files.slice(at, at + FILES_AT_A_TIME)
      await settleAll(some.map((file) => this.request.writer.file(file)))
    }
  }

  protected override async free(): Promise<void> {
    if (this.#directory !== undefined) {
      await this.host.disk.remove(this.#directory)
    }
  }
}
