/**
 * What a job has to know of its former runs whatever checkpoint is restored: one file, to which lines are only ever added.
 *
 *   {"of":"<identity of the directory>","lineage":"<a line of checkpoints that is this job's>"}
 *   {"of":"...","uid":"<operator>","entry":<what a sink keeps>}
 *
 * Invariants
 *  - A line is durable before `add` or `take` settles. What a crash cut off in the middle was never relied on, and is passed over.
 *  - Lines written in another directory, which this one is a copy of, are not seen, unless the job claims them: the original
 *    may still be running, and what it has begun is not this job's to end.
 * Written by the owner of the directory only.
 */
import { join } from 'node:path'
import type { SinkLedger } from '../../contract/sink.ts'
import type { FileSystem } from './file-system.ts'

interface Line {
  readonly of: string
  readonly lineage?: string
  readonly uid?: string
  readonly entry?: unknown
}

export class LedgerFile {
  readonly #files: FileSystem
  readonly #path: string
  readonly #identity: string
  readonly #lines: Line[]
  #isNew: boolean
  readonly #root: string
  /** One write after the other. */
  #last: Promise<void> = Promise.resolve()

  private constructor(
    files: FileSystem,
    root: string,
    identity: string,
    lines: Line[] | undefined,
  ) {
    this.#files = files
    this.#root = root
    this.#path = pathIn(root)
    this.#identity = identity
    this.#lines = lines ?? []
    this.#isNew = lines === undefined
  }

  /** `claim`: lines of the directory that this one is a copy of become lines of this one. */
  static async open(
    files: FileSystem,
    root: string,
    options: { readonly claim: boolean },
  ): Promise<LedgerFile> {
    const identity = (await files.identity?.(root)) ?? ''
    const path = pathIn(root)
    if ((await files.size(path)) === undefined)
      return new LedgerFile(files, root, identity, undefined)
    const text = Buffer.from(await files.read(path)).toString('utf8')
    const all = text
      .split('\n')
      .map(parseLine)
      .filter((line) => line !== undefined)
    const own = all.filter(({ of }) => of === identity)
    const ledger = new LedgerFile(files, root, identity, own)
    if (options.claim) {
      for (const line of all)
        if (line.of !== identity) await ledger.#append({ ...line, of: identity })
    }
    return ledger
  }

  owns(lineage: string): boolean {
    return this.#lines.some((line) => line.lineage === lineage)
  }

  /** From now on this line of checkpoints is this job's. */
  async take(lineage: string): Promise<void> {
    if (!this.owns(lineage)) await this.#append({ of: this.#identity, lineage })
  }

  /** What the sink of this uid sees of it. */
  of(uid: string): SinkLedger {
    return {
      entries: async () => this.#lines.filter((line) => line.uid === uid).map(({ entry }) => entry),
      add: (entry) => this.#append({ of: this.#identity, uid, entry }),
      owns: async (lineage) => this.owns(lineage),
    }
  }

  #append(line: Line): Promise<void> {
    this.#last = this.#last.catch(() => undefined).then(() => this.#write(line))
    return this.#last
  }

  async #write(line: Line): Promise<void> {
    // the line end stands first: what was cut off before it ends there
    await this.#files.append(this.#path, Buffer.from(`\n${JSON.stringify(line)}`))
    await this.#files.sync(this.#path)
    if (this.#isNew) await this.#files.sync(this.#root)
    this.#isNew = false
    this.#lines.push(line)
  }
}

function pathIn(root: string): string {
  return join(root, 'ledger')
}

function parseLine(text: string): Line | undefined {
  try {
    const line = JSON.parse(text) as Line
    return typeof line === 'object' && typeof line.of === 'string' ? line : undefined
  } catch {
    return undefined // empty, or cut off by a crash
  }
}
