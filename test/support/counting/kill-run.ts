/**
 * Kills the counting job again and again, lets it end, and compares its output with the reference.
 *
 * A round
 *  1. A process starts, with a parallelism and a number of threads by chance, and goes on from the newest checkpoint.
 *  2. Once it has completed a checkpoint of its own it is killed: at once, when the next checkpoint begins, or some time later.
 *  3. By chance the next process is killed too, within 100 ms of having the checkpoint directory: while it restores.
 * The input is paced so that no round comes to its end.
 */
import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Random } from '../../simulation/random.ts'
import { Life } from './life.ts'
import { checkOutput, namesIn, visibleFiles, writeInput } from './records.ts'
import type { InputSize } from './records.ts'
import { fenceOf, momentOf, newestCheckpoint, newestData } from './traces.ts'
import type { Moment } from './traces.ts'

export interface KillRunOptions {
  readonly seed: number
  /** Empty; for everything the run needs. */
  readonly directory: string
  readonly state: 'memory' | 'leveldb'
  readonly size: InputSize
  /** Kills after a checkpoint; those during a restore come on top. */
  readonly killCount: number
}

export interface KillRunResult {
  readonly kills: number
  readonly tally: ReadonlyMap<Moment, number>
  readonly parallelisms: ReadonlySet<number>
}

const CHECKPOINT_MS = 300
const RECORDS_PER_SECOND = 12_000
/** How long anything may take on a machine that is busy. */
const DEADLINE_MS = 60_000

export async function killRun(options: KillRunOptions): Promise<KillRunResult> {
  const run = new KillRun(options)
  await run.prepare()
  return run.whole()
}

class KillRun {
  readonly #options: KillRunOptions
  readonly #random: Random
  readonly #tally = new Map<Moment, number>()
  readonly #parallelisms = new Set<number>()
  readonly #checkpoints: string
  readonly #rows: string
  readonly #windows: string
  readonly #input: string
  readonly #temporary: string
  /** Of each file, what it held when it was first seen. */
  readonly #seen = new Map<string, string>()
  #kills = 0

  constructor(options: KillRunOptions) {
    const { directory, seed } = options
    this.#options = options
    this.#random = new Random(seed)
    this.#checkpoints = join(directory, 'checkpoints')
    this.#rows = join(directory, 'rows')
    this.#windows = join(directory, 'windows')
    this.#input = join(directory, 'input')
    this.#temporary = join(directory, 'temporary')
  }

  async prepare(): Promise<void> {
    await mkdir(this.#temporary)
    await writeInput(this.#input, this.#options.size)
  }

  async whole(): Promise<KillRunResult> {
    const { killCount, size } = this.#options
    for (let round = 0; round < killCount; round++) {
      await this.#killAfterCheckpoint()
      while (this.#random.chance(0.35)) await this.#killDuringRestore()
    }
    const last = this.#start(false)
    const end = await last.end()
    assert.equal(end?.kind, 'finished', last.log.join('\n'))
    assert.equal(end.lateRecords, 0)
    this.#look()
    checkOutput(this.#rows, this.#windows, size)
    this.#checkLeftovers()
    return { kills: this.#kills, tally: this.#tally, parallelisms: this.#parallelisms }
  }

  /** Steps 1 and 2. */
  async #killAfterCheckpoint(): Promise<void> {
    const before = newestCheckpoint(this.#checkpoints)
    const life = this.#start(true)
    await this.#until(life, 'a checkpoint', () => newestCheckpoint(this.#checkpoints) > before)
    switch (this.#random.below(3)) {
      case 0:
        // often before what it covers is committed
        break
      case 1: {
        const newest = newestData(this.#checkpoints)
        await this.#until(life, 'data', () => newestData(this.#checkpoints) > newest)
        await sleep(this.#random.below(15))
        break
      }
      default:
        await sleep(this.#random.below(CHECKPOINT_MS * 1.5))
    }
    await this.#kill(life, momentOf)
  }

  /** Step 3. */
  async #killDuringRestore(): Promise<void> {
    const fence = fenceOf(this.#checkpoints)
    const life = this.#start(true)
    await this.#until(life, 'the owner', () => fenceOf(this.#checkpoints) > fence)
    await sleep(this.#random.below(100))
    await this.#kill(life, (...places) =>
      life.running === undefined ? 'restoring' : momentOf(...places),
    )
  }

  #start(isPaced: boolean): Life {
    const { size, state, killCount } = this.#options
    const parallelism = this.#random.between(1, 4)
    this.#parallelisms.add(parallelism)
    return new Life(
      {
        params: {
          input: this.#input,
          rows: this.#rows,
          windows: this.#windows,
          ...(isPaced
            ? {
                pace: {
                  recordsPerSecond: RECORDS_PER_SECOND,
                  recordsMax: Math.floor(size.recordCount / (1.3 * killCount)),
                },
              }
            : {}),
        },
        options: {
          parallelism,
          state,
          checkpoints: { directory: this.#checkpoints, interval: `${CHECKPOINT_MS}ms` },
        },
        threads: this.#random.between(0, 4),
      },
      this.#temporary,
    )
  }

  async #kill(life: Life, moment: typeof momentOf): Promise<void> {
    assert(!life.isOver, `it was alive: ${JSON.stringify(life.last)}`)
    await life.kill()
    this.#kills += 1
    const what = moment(this.#checkpoints, [this.#rows, this.#windows])
    this.#tally.set(what, (this.#tally.get(what) ?? 0) + 1)
    this.#look()
  }

  /** Waits, and looks at what becomes visible meanwhile. */
  async #until(life: Life, what: string, condition: () => boolean): Promise<void> {
    const endMs = performance.now() + DEADLINE_MS
    while (!condition()) {
      assert(!life.isOver, `it ended before ${what}: ${JSON.stringify(life.last)}`)
      assert(performance.now() < endMs, `no sign of ${what}: ${life.log.join('\n')}`)
      this.#look()
      await sleep(1)
    }
  }

  /** A file that can be seen never changes. */
  #look(): void {
    for (const directory of [this.#rows, this.#windows]) {
      for (const name of visibleFiles(directory)) {
        const path = join(directory, name)
        if (!this.#seen.has(path)) this.#seen.set(path, hashOf(path))
      }
    }
  }

  #checkLeftovers(): void {
    for (const [path, hash] of this.#seen) assert.equal(hashOf(path), hash, `${path} never changed`)
    for (const directory of [this.#rows, this.#windows]) {
      const hidden = namesIn(directory).filter((name) => name.startsWith('.'))
      assert.deepEqual(hidden, [], 'no hidden file is left')
    }
    // the newest, and the one it could fall back to
    const kept = namesIn(join(this.#checkpoints, 'manifests'))
    assert(kept.length === 1 || kept.length === 2, `checkpoints ${kept.join(', ')} are kept`)
    const data = namesIn(join(this.#checkpoints, 'data')).map((name) =>
      name.slice(0, kept[0]?.length),
    )
    assert.deepEqual(
      data.filter((id) => !kept.includes(id)),
      [],
      'no data is left',
    )
    assert.deepEqual(namesIn(join(this.#checkpoints, 'work')), [])
  }
}

function hashOf(path: string): string {
  return createHash('sha1').update(readFileSync(path)).digest('hex')
}
