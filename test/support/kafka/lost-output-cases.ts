/** What is to happen when output is lost, in part or whole, or nobody can tell: each on real brokers, as docs/protocol.md 5 says. */
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { job, start } from 'millrace'
import type { RunningJob, Sink, Source } from 'millrace'
import { EngineError } from '../../../src/core/errors.ts'
import type { RunOptions } from '../../../src/job/run-options.ts'
import { kafkaSink } from '../../../operators/kafka/index.ts'
import type { ExactlyOnce } from '../../../operators/kafka/index.ts'
import { committedValues, untilNothingOpen } from './committed.ts'
import { skipWithoutKafka, startKafka } from './start-kafka.ts'
import type { RunningKafka } from './start-kafka.ts'
import { closeSourceRuns, text } from './source-run.ts'
import { freshTopic, withAdmin } from './topics.ts'
import { Directory, Log, until } from '../running-jobs.ts'

const skip = skipWithoutKafka()

/** Two splits of values, each in parts: a part is given when it is released. */
class Tap {
  released = 0
  readonly #given = [0, 0]
  readonly values: readonly (readonly string[])[]
  readonly #partLength: number
  readonly #partCount: number

  constructor(partCount: number, partLength: number) {
    this.#partCount = partCount
    this.#partLength = partLength
    this.values = ['a', 'b'].map((name) =>
      Array.from(
        { length: partCount * partLength },
        (_, i) => `${name}${String(i).padStart(4, '0')}`,
      ),
    )
  }

  /** All of the first parts, sorted. */
  first(parts: number): string[] {
    return this.values.flatMap((own) => own.slice(0, parts * this.#partLength)).toSorted()
  }

  /** All of the others. */
  rest(parts: number): string[] {
    return this.values.flatMap((own) => own.slice(parts * this.#partLength)).toSorted()
  }

  /** Settles when the first parts were read. */
  async read(parts: number): Promise<void> {
    this.released = Math.max(this.released, parts)
    await until(`${parts} parts are read`, () =>
      this.#given.every((count) => count >= parts * this.#partLength),
    )
  }

  all(): void {
    this.released = this.#partCount
  }

  get source(): Source<string> {
    return {
      type: 'tap',
      isBounded: true,
      enumerator: () => ({
        discover: async (known) =>
          ['0', '1'].filter((id) => !known.has(id)).map((id) => ({ id, data: Number(id) })),
      }),
      reader: (context) => ({
        open: ({ data, position = 0 }) => {
          const split = data as number
          const values = this.values[split] ?? []
          let next = position as number
          return {
            read: (batch) => {
              if (next >= values.length) return 'ended'
              const end = Math.min(values.length, this.released * this.#partLength)
              if (next >= end) {
                context.availableAt(context.clock.now() + 5)
                return 'empty'
              }
              let count = 0
              while (next < end && count < 10) {
                batch.values[count] = values[next++]
                batch.timestamps[count++] = 1000
              }
              batch.count = count
              this.#given[split] = next
              return 'records'
            },
            position: () => next,
          }
        },
      }),
    }
  }
}

/** A sink whose commits happen only where the test lets them. */
class Gate {
  /** Default: all. */
  mayCommit: (subtaskIndex: number) => boolean = () => true
  /** Thrown after a commit that was made, once. */
  failsAfter = 0

  around(sink: Sink<string>): Sink<string> {
    return {
      ...sink,
      open: async (context) => {
        const writer = await sink.open(context)
        return {
          write: (value, timestampMs) => writer.write(value, timestampMs),
          hasRoom: () => writer.hasRoom?.() ?? true,
          prepare: (checkpointId, kind) => writer.prepare?.(checkpointId, kind) ?? {},
          commit: async (committable) => {
            if (!this.mayCommit(context.subtaskIndex)) {
              // the other subtask has its turn first
              await sleep(200)
              throw new EngineError('COMMIT_FAILED', 'The test lets it fail')
            }
            await writer.commit?.(committable)
            if (this.failsAfter > 0) {
              this.failsAfter -= 1
              throw new EngineError('COMMIT_FAILED', 'The test lets it fail afterwards')
            }
          },
          close: () => writer.close?.(),
        }
      },
    }
  }
}

class Case {
  readonly tap: Tap
  readonly gate: Gate = new Gate()
  readonly log: Log = new Log()
  readonly #kafka: RunningKafka
  readonly #guarantee: ExactlyOnce
  readonly topic: string

  private constructor(kafka: RunningKafka, topic: string, guarantee: Partial<ExactlyOnce>) {
    this.#kafka = kafka
    this.topic = topic
    this.tap = new Tap(4, 50)
    this.#guarantee = { kind: 'exactly-once', timeout: '3s', ...guarantee }
  }

  static async make(kafka: RunningKafka, guarantee: Partial<ExactlyOnce> = {}): Promise<Case> {
    return new Case(kafka, await freshTopic(kafka.bootstrap, 2), guarantee)
  }

  start(directory: string, options: RunOptions = {}): RunningJob {
    const definition = job('cases', (env) => {
      const sink = kafkaSink<string>({
        brokers: [this.#kafka.bootstrap],
        topic: this.topic,
        value: text,
        partition: (value) => (value.startsWith('a') ? 0 : 1),
        guarantee: this.#guarantee,
      })
      env.from('in', this.tap.source).to('out', this.gate.around(sink))
    })
    return start(definition, {
      checkpoints: { directory, interval: '300ms' },
      restart: { kind: 'none' },
      parallelism: 2,
      logger: this.log,
      ...options,
    })
  }

  values(): Promise<string[]> {
    return committedValues(this.#kafka.bootstrap, this.topic)
  }

  /** A first part that is committed, and a second one whose commits happen in some subtasks only. */
  async unconfirmed(
    directory: string,
    mayCommit: (subtaskIndex: number) => boolean,
  ): Promise<void> {
    const running = this.start(directory)
    await this.tap.read(1)
    await this.visible(this.tap.first(1))
    this.gate.mayCommit = mayCommit
    await this.tap.read(2)
    await assert.rejects(running.finished, { code: 'COMMIT_FAILED' })
    this.gate.mayCommit = () => true
    this.tap.all()
  }

  /** Settles when exactly these are visible. */
  async visible(values: readonly string[]): Promise<void> {
    await until(`${values.length} values are visible`, async () => {
      const found = await this.values()
      return found.length >= values.length
    })
    assert.deepEqual(await this.values(), values)
  }

  async timedOut(): Promise<void> {
    await untilNothingOpen(this.#kafka.bootstrap, this.topic)
  }

  async deleteMarkers(): Promise<void> {
    await withAdmin(this.#kafka.bootstrap, async (admin) => {
      const { groups } = await admin.listGroups()
      const own = groups.map(({ groupId }) => groupId).filter((id) => id.startsWith('cases-out-'))
      assert.ok(own.length > 0)
      await admin.deleteGroups(own)
    })
  }
}

/** The tests, with the transactions of Kafka 4 (2) or of Kafka 3 (0). */
export function lostOutputCases(version: 0 | 2): void {
  const title = `lost output, transaction.version ${version}`
  describe(title, { skip, timeout: 240_000 }, () => {
    let kafka: RunningKafka
    before(async () => {
      kafka = await startKafka({ features: { 'transaction.version': version } })
    })
    afterEach(closeSourceRuns)
    after(() => kafka.stop())

    test('what was prepared and not committed is committed by the next start, however late', async () => {
      await using directory = await Directory.make()
      const own = await Case.make(kafka, { timeout: '15min' })
      await own.unconfirmed(directory.path, () => false)

      await own.start(directory.path).finished

      assert.deepEqual(await own.values(), own.tap.first(4))
    })

    test('timed out, none committed: the job goes back to the checkpoint before, by itself, and says so', async () => {
      await using directory = await Directory.make()
      const own = await Case.make(kafka)
      await own.unconfirmed(directory.path, () => false)
      await own.timedOut()

      await own.start(directory.path).finished

      assert.deepEqual(await own.values(), own.tap.first(4))
      assert.ok(own.log.has('goes back to'), own.log.lines.join('\n'))
    })

    test('timed out, some committed: the job stops with a report; the user may accept duplicates', async () => {
      await using directory = await Directory.make()
      const own = await Case.make(kafka)
      await own.unconfirmed(directory.path, (subtask) => subtask === 0)
      await own.timedOut()
      const committed = await own.values()

      await assert.rejects(own.start(directory.path).finished, {
        code: 'OUTPUT_PARTLY_COMMITTED',
        message: new RegExp(
          `committed; ${own.topic}-\\d offsets \\d+ to \\d+.*lost; ${own.topic}-\\d offsets`,
          's',
        ),
      })
      await own.start(directory.path, { onPartialCommit: 'accept-duplicates' }).finished

      const twice = committed.filter((value) => !own.tap.first(1).includes(value))
      assert.ok(twice.length > 0)
      assert.deepEqual(await own.values(), [...own.tap.first(4), ...twice].toSorted())
    })

    test('timed out, some committed: or the user may accept the loss', async () => {
      await using directory = await Directory.make()
      const own = await Case.make(kafka)
      await own.unconfirmed(directory.path, (subtask) => subtask === 1)
      await own.timedOut()
      const committed = await own.values()

      await own.start(directory.path, { onPartialCommit: 'accept-loss' }).finished

      const lost = own.tap.first(2).filter((value) => !committed.includes(value))
      assert.ok(lost.length > 0)
      assert.deepEqual(
        await own.values(),
        own.tap.first(4).filter((value) => !lost.includes(value)),
      )
    })

    test('the markers deleted: what is open is committed all the same; of what timed out nobody knows', async () => {
      await using directory = await Directory.make()
      const own = await Case.make(kafka, { timeout: '15min' })
      await own.unconfirmed(directory.path, () => false)
      await own.deleteMarkers()
      await own.start(directory.path).finished
      assert.deepEqual(await own.values(), own.tap.first(4))

      await using second = await Directory.make()
      const other = await Case.make(kafka)
      await other.unconfirmed(second.path, () => false)
      await other.timedOut()
      await other.deleteMarkers()
      await assert.rejects(other.start(second.path).finished, { code: 'OUTPUT_UNKNOWN' })
      await other.start(second.path, { onPartialCommit: 'accept-duplicates' }).finished
      assert.deepEqual(await other.values(), other.tap.first(4))
    })

    for (const transactions of ['resumed', 'stored'] as const) {
      test(`${transactions}: a restart within milliseconds of a commit finds it`, async () => {
        await using directory = await Directory.make()
        const own = await Case.make(kafka, { transactions, timeout: '15min' })
        own.gate.failsAfter = 4
        own.tap.all()
        const restart = { kind: 'fixed', attemptsMax: 10, delay: '1ms' } as const

        await own.start(directory.path, { restart }).finished

        assert.ok(own.gate.failsAfter < 4, 'it failed after a commit')
        assert.deepEqual(await own.values(), own.tap.first(4))
      })

      test(`${transactions}: a running savepoint commits nothing; its output comes with the next checkpoint, and going back to it is a new line`, async () => {
        await using directory = await Directory.make()
        const own = await Case.make(kafka, { transactions, timeout: '15min' })
        const checkpoints = { directory: directory.at('checkpoints'), interval: '5min' } as const
        const running = own.start(directory.path, { checkpoints })
        await own.tap.read(1)
        await running.checkpoint()
        await own.tap.read(2)
        const { path } = await running.savepoint(directory.at('savepoints'))
        await sleep(100)
        await own.tap.read(3)
        await running.checkpoint()
        await own.visible(own.tap.first(3))
        for (let i = 0; i < 3; i++) await running.checkpoint()
        own.tap.all()
        await running.finished
        assert.deepEqual(await own.values(), own.tap.first(4))

        await own.start(directory.path, { checkpoints, from: path }).finished

        assert.deepEqual(
          await own.values(),
          [...own.tap.first(4), ...own.tap.rest(2)].toSorted(),
          'what came after the savepoint comes again, and nothing else',
        )
      })
    }

    test('a job that begins with the savepoint of one that runs on leaves its output alone', async () => {
      await using directory = await Directory.make()
      const own = await Case.make(kafka, { timeout: '15min' })
      const checkpoints = { directory: directory.at('original'), interval: '5min' } as const
      const copied = { directory: directory.at('copy'), interval: '5min' } as const
      const original = own.start(directory.path, { checkpoints })
      await own.tap.read(1)
      await original.checkpoint()
      await own.tap.read(2)
      const { path } = await original.savepoint(directory.at('savepoints'))

      await assert.rejects(
        own.start(directory.path, { checkpoints: copied, from: path }).finished,
        {
          code: 'OUTPUT_OF_OTHER_JOB',
        },
      )
      await original.checkpoint()
      await own.visible(own.tap.first(2))
      const copy = own.start(directory.path, { checkpoints: copied, from: path })
      own.tap.all()
      await Promise.all([original.finished, copy.finished])

      assert.deepEqual(await own.values(), [...own.tap.first(4), ...own.tap.rest(2)].toSorted())
    })

    test('savepoints without a checkpoint between them are declined before they use up the ids', async () => {
      await using directory = await Directory.make()
      const own = await Case.make(kafka, { timeout: '15min', poolSize: 3 })
      const checkpoints = { directory: directory.at('checkpoints'), interval: '5min' } as const
      const running = own.start(directory.path, { checkpoints })
      await own.tap.read(1)
      await running.checkpoint()
      await own.tap.read(2)
      // the id of the first checkpoint's epoch comes back in its own time
      await until('a savepoint is taken', () =>
        running.savepoint(directory.at('savepoints')).then(
          () => true,
          () => false,
        ),
      )
      await own.tap.read(3)

      await assert.rejects(running.savepoint(directory.at('savepoints')), {
        message: /All 3 transactional ids .* poolSize/,
      })
      await running.checkpoint()
      own.tap.all()
      await running.finished

      assert.deepEqual(await own.values(), own.tap.first(4))
    })
  })
}
