/**
 * The file sink against a disk that loses what was not synced, under an engine that crashes wherever it hurts: between
 * prepare and checkpoint, between checkpoint and commit, between two commits. Whatever happens, each record of the completed
 * checkpoints is visible exactly once in the end, and none is visible twice, or in half, at any time.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { openFileSinkWriter } from '../../../../operators/files/file-sink-writer.ts'
import type { FileSinkWriter } from '../../../../operators/files/file-sink-writer.ts'
import type { SinkDirectory, SinkFile } from '../../../../operators/files/sink-directory.ts'
import { text } from '../../../../operators/formats/text.ts'
import type { Committable } from '../../../../src/contract/sink.ts'
import { FakeSinkContext } from '../../../support/file-contexts.ts'

/** Random choices, all from one seed that fast-check shrinks and prints. */
type Choose = (below: number) => number

interface ModelFile {
  readonly chunks: Uint8Array[]
  syncedBytes: number
}

/** A disk in memory. What was not synced survives a crash in part: names up to some operation, contents up to some byte. */
class ModelDisk {
  #names = new Map<string, ModelFile>()
  #syncedNames = new Map<string, ModelFile>()
  #unsynced: ((names: Map<string, ModelFile>) => void)[] = []
  /** Counts the lives of the machine: whoever belongs to a former one gets no answer any more. */
  #life = 0
  readonly #choose: Choose

  constructor(choose: Choose) {
    this.#choose = choose
  }

  directory(): SinkDirectory {
    const life = this.#life
    const alive = async (): Promise<void> => {
      // some operations take longer than others
      for (let turn = this.#choose(8); turn >= 0; turn--) await Promise.resolve()
      // a crashed process waits for ever, it is not told
      if (life !== this.#life) await new Promise(() => {})
    }
    const change = (operation: (names: Map<string, ModelFile>) => void): void => {
      operation(this.#names)
      this.#unsynced.push(operation)
    }
    return {
      path: '/model',
      make: alive,
      create: async (name) => {
        await alive()
        if (this.#names.has(name)) throw missing('EEXIST', name)
        const file: ModelFile = { chunks: [], syncedBytes: 0 }
        change((names) => names.set(name, file))
        return modelFile(file, alive)
      },
      rename: async (from, to) => {
        await alive()
        const file = this.#names.get(from)
        if (file === undefined) throw missing('ENOENT', from)
        change((names) => {
          names.delete(from)
          names.set(to, file)
        })
      },
      remove: async (name) => {
        await alive()
        change((names) => names.delete(name))
      },
      sizeOf: async (name) => {
        await alive()
        const file = this.#names.get(name)
        return file === undefined ? undefined : contentOf(file).length
      },
      list: async () => {
        await alive()
        return [...this.#names.keys()]
      },
      sync: async () => {
        await alive()
        this.#unsynced = []
        this.#syncedNames = new Map(this.#names)
      },
    }
  }

  crash(losesPower: boolean): void {
    this.#life += 1
    if (!losesPower) return
    const kept = this.#unsynced.slice(0, this.#choose(this.#unsynced.length + 1))
    this.#names = new Map(this.#syncedNames)
    for (const operation of kept) operation(this.#names)
    this.#syncedNames = new Map(this.#names)
    this.#unsynced = []
    for (const file of this.#names.values()) {
      const content = contentOf(file)
      const bytes = file.syncedBytes + this.#choose(content.length - file.syncedBytes + 1)
      file.chunks.splice(0, file.chunks.length, content.subarray(0, bytes))
    }
  }

  /** The lines of all files that readers see. */
  visibleLines(): string[] {
    return [...this.#names]
      .filter(([name]) => !name.startsWith('.'))
      .flatMap(([name, file]) => {
        const content = contentOf(file).toString()
        assert.ok(content.endsWith('\n'), `${name} ends in half a record`)
        return content.slice(0, -1).split('\n')
      })
  }

  hiddenNames(): string[] {
    return [...this.#names.keys()].filter((name) => name.startsWith('.'))
  }
}

function modelFile(file: ModelFile, alive: () => Promise<void>): SinkFile {
  return {
    async write(bytes) {
      await alive()
      file.chunks.push(Uint8Array.from(bytes))
    },
    async sync() {
      await alive()
      file.syncedBytes = contentOf(file).length
    },
    close: alive,
  }
}

function contentOf(file: ModelFile): Buffer {
  return Buffer.concat(file.chunks)
}

function missing(code: string, name: string): Error {
  return Object.assign(new Error(`${code}: ${name}`), { code })
}

interface Checkpoint {
  readonly checkpointId: number
  /** How many records of the source it covers. */
  readonly position: number
  readonly committables: readonly Committable[]
}

/** As much of an engine as it takes: a source that is replayed, subtasks, checkpoints, restarts. */
class ModelEngine {
  readonly #disk: ModelDisk
  readonly #choose: Choose
  #writers: FileSinkWriter<string>[] = []
  /** Prepared and not confirmed, for each subtask. */
  #pending: Committable[][] = []
  #position = 0
  #attempt = 0
  #lastCheckpointId = 0
  #latest: Checkpoint = { checkpointId: 0, position: 0, committables: [] }

  constructor(disk: ModelDisk, choose: Choose) {
    this.#disk = disk
    this.#choose = choose
  }

  /** Starts the next run from the latest checkpoint, with as many subtasks as it likes, which start as they like. */
  async start(): Promise<void> {
    this.#attempt += 1
    this.#position = this.#latest.position
    const parallelism = 1 + this.#choose(3)
    const restored = Array.from({ length: parallelism }, (): Committable[] => [])
    for (const committable of this.#latest.committables) {
      restored[this.#choose(parallelism)]?.push(committable)
    }
    this.#pending = restored.map(() => [])
    const isOneByOne = this.#choose(2) === 0
    const opened: Promise<FileSinkWriter<string>>[] = []
    for (const [subtaskIndex, own] of restored.entries()) {
      const opening = this.#openSubtask({ subtaskIndex, parallelism, restored: own })
      opened.push(opening)
      if (isOneByOne) await opening
    }
    this.#writers = await Promise.all(opened)
  }

  async #openSubtask(place: {
    readonly subtaskIndex: number
    readonly parallelism: number
    readonly restored: readonly Committable[]
  }): Promise<FileSinkWriter<string>> {
    const context = new FakeSinkContext({ attempt: `r${this.#attempt}`, ...place })
    const writer = await openFileSinkWriter(
      { directory: '/model', format: text(), bytesMax: 24, writeBehindBytesMax: 1000 },
      context,
      () => this.#disk.directory(),
    )
    for (const committable of place.restored) await writer.commit(committable)
    await writer.discardUnnamed()
    assert.deepEqual(context.failures, [])
    return writer
  }

  /** Hands the next records of the source to the subtasks. */
  write(count: number): void {
    for (let i = 0; i < count; i++) {
      this.#writers[this.#choose(this.#writers.length)]?.write(`record ${this.#position}`)
      this.#position += 1
    }
  }

  /** Prepares a checkpoint: what it would cover, and when that is durable. */
  prepare(): { readonly checkpoint: Checkpoint; readonly durable: Promise<unknown> } {
    this.#lastCheckpointId += 1
    const checkpointId = this.#lastCheckpointId
    const durables = this.#writers.map(async (writer, subtask) => {
      const { committable, durable } = writer.prepare(checkpointId)
      if (committable !== undefined) {
        this.#pending[subtask]?.push({ checkpointId, data: committable })
      }
      return durable
    })
    const checkpoint = {
      checkpointId,
      position: this.#position,
      committables: this.#pending.flat(),
    }
    return { checkpoint, durable: Promise.all(durables) }
  }

  publish(checkpoint: Checkpoint): void {
    this.#latest = checkpoint
  }

  /** Commits what a completed checkpoint covers, up to `commitsMax` files of it. */
  async commit({ checkpointId }: Checkpoint, commitsMax = Infinity): Promise<void> {
    let commits = 0
    for (const [subtask, pending] of this.#pending.entries()) {
      while (pending[0] !== undefined && pending[0].checkpointId <= checkpointId) {
        if (commits === commitsMax) return
        await this.#writers[subtask]?.commit(pending[0])
        pending.shift()
        commits += 1
      }
    }
  }

  /** Begins commits without waiting for them: the crash comes in between. */
  beginCommit(checkpoint: Checkpoint): void {
    void this.commit(checkpoint)
  }

  crash(): void {
    this.#disk.crash(this.#choose(2) === 0)
  }

  get committedPosition(): number {
    return this.#latest.position
  }
}

const steps = [
  'write',
  'checkpoint',
  'checkpoint, aborted',
  'checkpoint, crash before it is published',
  'checkpoint, crash before its commits',
  'checkpoint, crash between its commits',
  'checkpoint, crash amid a commit',
  'crash',
] as const

async function take(
  step: (typeof steps)[number],
  engine: ModelEngine,
  choose: Choose,
): Promise<void> {
  if (step === 'write') return engine.write(choose(8))
  if (step !== 'crash') {
    engine.write(choose(3))
    const { checkpoint, durable } = engine.prepare()
    // it took too long: nobody waits for it any more, but the next one covers it
    if (step === 'checkpoint, aborted') return
    await durable
    if (step !== 'checkpoint, crash before it is published') engine.publish(checkpoint)
    if (step === 'checkpoint') return engine.commit(checkpoint)
    if (step === 'checkpoint, crash between its commits') await engine.commit(checkpoint, choose(4))
    if (step === 'checkpoint, crash amid a commit') {
      engine.beginCommit(checkpoint)
      for (let turn = choose(20); turn > 0; turn--) await Promise.resolve()
    }
  }
  engine.crash()
  await engine.start()
}

function assertOnce(lines: readonly string[], position: number): void {
  const expected = new Set(Array.from({ length: position }, (_, n) => `record ${n}`))
  for (const line of lines) {
    assert.ok(expected.delete(line), `'${line}' is visible twice, or was not committed`)
  }
}

test('records become visible exactly once, whatever crashes and however much the disk forgets', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom(...steps), { minLength: 1, maxLength: 25, size: 'max' }),
      fc.infiniteStream(fc.nat()),
      async (plan, numbers) => {
        const choose: Choose = (below) => Number(numbers.next().value) % below
        const disk = new ModelDisk(choose)
        const engine = new ModelEngine(disk, choose)
        await engine.start()

        for (const step of plan) {
          await take(step, engine, choose)
          assertOnce(disk.visibleLines(), engine.committedPosition)
        }
        // enough for every subtask to have something to commit
        engine.write(60)
        const { checkpoint: last, durable } = engine.prepare()
        await durable
        engine.publish(last)
        await engine.commit(last)

        const lines = disk.visibleLines()
        assertOnce(lines, last.position)
        assert.equal(lines.length, last.position)
        assert.deepEqual(disk.hiddenNames(), [])
      },
    ),
    { numRuns: 200 },
  )
})
