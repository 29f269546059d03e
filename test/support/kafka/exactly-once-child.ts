/**
 * A process that runs a job from Kafka to Kafka, exactly once, until it ends or kills itself at a named point:
 * `node exactly-once-child.js <json>`. Says in lines what it has done; the test that started it reads them.
 *
 * The points lie in wrappers around the sink's own parts and the file system of the checkpoints: nothing in them knows of the test.
 */
import { writeSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { job, json, monotonous, start, tumbling, type, valueState } from 'millrace'
import type { Sink, Source } from 'millrace'
import { nodeFileSystem } from '../../../src/checkpoint/storage/node-file-system.ts'
import type { SinkWriter } from '../../../src/contract/sink.ts'
import { kafkaSink, kafkaSource } from '../../../operators/kafka/index.ts'
import type { ExactlyOnce, KafkaSinkOptions } from '../../../operators/kafka/index.ts'
import type { TransactionalClient } from '../../../operators/kafka/kafka-client.ts'
import { kafkaEnumerator } from '../../../operators/kafka/kafka-enumerator.ts'
import { KafkaSinkCoordinator } from '../../../operators/kafka/kafka-sink-coordinator.ts'
import { guaranteeOf } from '../../../operators/kafka/kafka-sink-options.ts'
import { openKafkajsClient } from '../../../operators/kafka/kafkajs-client.ts'
import { openResumedWriter } from '../../../operators/kafka/resumed-writer.ts'
import { openStoredWriter } from '../../../operators/kafka/stored-writer.ts'
import { text } from './source-run.ts'

/** Where a process may kill itself. */
export const killPoints = [
  'restore: examining',
  'restore: before a commit',
  'restore: after a commit',
  'restore: fencing',
  'restore: taking ids',
  'before flush',
  'while writing',
  'before the marker',
  'after the marker',
  'snapshot',
  'before publish',
  'after publish',
  'before a commit',
  'after a commit',
  'confirmed',
  'before offsets',
  'after offsets',
  'savepoint',
  'stopping',
  'end of input',
] as const

export type KillPoint = (typeof killPoints)[number]

export interface ChildOptions {
  readonly brokers: readonly string[]
  readonly input: string
  readonly counts: string
  readonly windows: string
  readonly directory: string
  readonly savepoints: string
  readonly parallelism: number
  readonly guarantee: ExactlyOnce
  readonly recordsPerSecond: number
  /** Undefined: until the end. */
  readonly kill?: {
    readonly point: KillPoint
    /** At the so manieth time that the point is come to. */
    readonly times: number
  }
  /** A checkpoint or savepoint instead of the newest. */
  readonly from?: string
}

/** What the input consists of. */
export interface Entry {
  readonly id: number
  readonly key: string
  readonly atMs: number
}

export const WINDOW_MS = 1000

async function main(options: ChildOptions): Promise<void> {
  const points = new Points(options)
  watchFiles(points)
  const running = start(jobOf(options, points), {
    checkpoints: {
      directory: options.directory,
      interval: '300ms',
      retainCount: 2,
      failuresMax: 3,
    },
    restart: { kind: 'fixed', attemptsMax: 5, delay: '200ms' },
    parallelism: options.parallelism,
    ...(options.from === undefined ? {} : { from: options.from }),
    logger: {
      info: () => {},
      warn: (message) => say(`warn ${message}`),
      error: (message) => say(`error ${message}`),
    },
  })
  if (options.kill?.point === 'savepoint')
    void points.armed.then(() => running.savepoint(options.savepoints))
  if (options.kill?.point === 'stopping') {
    void points.armed.then(() => {
      points.isStopping = true
      void running.stop({ savepoint: options.savepoints })
    })
  }
  running.running.then(
    () => say('running'),
    () => undefined, // `finished` tells
  )
  process.on('SIGTERM', () => void running.stop({ savepoint: options.savepoints }))
  try {
    const { status, checkpoints } = await running.finished
    say(`ended ${status} after ${checkpoints} checkpoints`)
  } catch (error) {
    say(`failed ${error instanceof Error ? error.message : String(error)}`)
    process.exitCode = 1
  }
}

/** Whole lines, at once: what was said before a kill was said. */
function say(line: string): void {
  writeSync(1, `${line.replaceAll('\n', ' ')}\n`)
}

class Points {
  /** Settles when a new checkpoint is there: before, only points of a restore kill. */
  readonly armed: Promise<void>
  isStopping = false
  hasInputEnded = false
  readonly #kill: ChildOptions['kill']
  #times = 0
  #isArmed = false
  #arm: () => void = () => {}

  constructor({ kill }: ChildOptions) {
    this.#kill = kill
    this.armed = new Promise((resolve) => {
      this.#arm = resolve
    })
  }

  published(checkpointId: string): void {
    say(`published ${checkpointId}`)
    this.#isArmed = true
    this.#arm()
  }

  at(point: KillPoint): void {
    if (this.#kill?.point !== point) return
    if (!this.#isArmed && !point.startsWith('restore')) return
    this.#times += 1
    if (this.#times < this.#kill.times) return
    say(`killed ${point}`)
    process.kill(process.pid, 'SIGKILL')
    for (;;); // nothing happens any more
  }
}

function watchFiles(points: Points): void {
  const link = nodeFileSystem.link.bind(nodeFileSystem)
  const remove = nodeFileSystem.remove.bind(nodeFileSystem)
  nodeFileSystem.link = async (from, to) => {
    const place = basename(dirname(to))
    if (place === 'manifests') {
      points.at('before publish')
      await link(from, to)
      points.published(basename(to))
      points.at('after publish')
      if (points.hasInputEnded) points.at('end of input')
      if (points.isStopping) points.at('stopping')
      return
    }
    await link(from, to)
    if (basename(to) === 'savepoint') points.at('savepoint')
  }
  nodeFileSystem.remove = async (path) => {
    // the manifest of an older checkpoint goes when all commits of a newer one are confirmed
    if (basename(dirname(path)) === 'manifests' && !path.endsWith('.part')) points.at('confirmed')
    await remove(path)
  }
}

function jobOf(options: ChildOptions, points: Points): ReturnType<typeof job> {
  return job('kills', (env) => {
    const entries = env
      .from('in', sourceOf(options, points), {
        timestampMs: ({ atMs }) => atMs,
        watermarks: monotonous(),
      })
      .keyBy(({ key }) => key)
    entries
      .process(
        'count',
        { emits: type<string>(), state: { count: valueState({ default: 0 }) } },
        ({ state, emit, key }) => ({
          onRecord({ id }) {
            const count = state.count.get() + 1
            state.count.set(count)
            emit(`${key()} ${count} ${id}`)
          },
        }),
      )
      .to('counts', sinkOf(options, options.counts, points))
    entries
      .window(tumbling({ size: `${WINDOW_MS}ms` }))
      .count('per-second')
      .map(({ key, value, window }) => `${key} ${window.startMs} ${value}`)
      .to('windows', sinkOf(options, options.windows, points))
  })
}

function sourceOf(options: ChildOptions, points: Points): Source<Entry> {
  const { brokers, input, recordsPerSecond } = options
  const settings = {
    brokers,
    topics: [input],
    value: json<Entry>(),
    endAt: 'latest',
    group: `${input}-group`,
  } as const
  const source = kafkaSource(settings)
  let allowed = 0
  let lastMs = performance.now()
  return {
    ...source,
    enumerator(context) {
      const client = openKafkajsClient(settings)
      return kafkaEnumerator(
        context,
        settings,
        wrapped(client, {
          commitOffsets: {
            before: () => points.at('before offsets'),
            after: () => points.at('after offsets'),
          },
        }),
      )
    },
    async reader(context) {
      const reader = await source.reader(context)
      return {
        ...reader,
        close: () => reader.close?.(),
        open(split) {
          const inner = reader.open(split)
          return {
            read(batch, recordsMax) {
              const now = performance.now()
              allowed = Math.min(500, allowed + ((now - lastMs) * recordsPerSecond) / 1000)
              lastMs = now
              if (allowed < 1) {
                context.availableAt(context.clock.now() + 2)
                return 'empty'
              }
              const answer = inner.read(batch, Math.min(recordsMax, Math.ceil(allowed)))
              allowed -= batch.count
              if (answer === 'ended') points.hasInputEnded = true
              return answer
            },
            position: () => inner.position(),
            close: () => inner.close?.(),
          }
        },
      }
    },
  }
}

function sinkOf(options: ChildOptions, topic: string, points: Points): Sink<string> {
  const settings: KafkaSinkOptions<string> = {
    brokers: options.brokers,
    topic,
    value: text,
    key: (value) => value.slice(0, value.indexOf(' ')),
    guarantee: options.guarantee,
  }
  const openForRestore = (): TransactionalClient =>
    wrapped(openKafkajsClient(settings), {
      describeTransaction: { before: () => points.at('restore: examining') },
      marker: { before: () => points.at('restore: examining') },
      endTransaction: {
        before: () => points.at('restore: before a commit'),
        after: () => points.at('restore: after a commit'),
      },
      initTransactions: { before: () => points.at('restore: fencing') },
    })
  const openForWriter = (): TransactionalClient =>
    wrapped(openKafkajsClient(settings), {
      initTransactions: { before: () => points.at('restore: taking ids') },
      produce: { after: () => points.at('while writing') },
      mark: {
        before: () => points.at('before the marker'),
        after: () => points.at('after the marker'),
      },
      endTransaction: {
        before: () => points.at('before a commit'),
        after: () => points.at('after a commit'),
      },
    })
  return {
    ...kafkaSink(settings),
    coordinator(context) {
      const guarantee = guaranteeOf(settings, context)
      if (typeof guarantee === 'string') throw new Error('The test is of exactly-once')
      return new KafkaSinkCoordinator(context, { settings: guarantee, openClient: openForRestore })
    },
    async open(context) {
      const guarantee = guaranteeOf(settings, context)
      if (typeof guarantee === 'string') throw new Error('The test is of exactly-once')
      const writer: SinkWriter =
        guarantee.transactions === 'resumed'
          ? await openResumedWriter(context, settings, guarantee, openForWriter())
          : await openStoredWriter(context, settings, guarantee, openForWriter())
      return {
        write: (value, timestampMs) => writer.write(value, timestampMs),
        hasRoom: () => writer.hasRoom?.() ?? true,
        prepare(checkpointId, kind) {
          points.at('before flush')
          const prepared = writer.prepare?.(checkpointId, kind) ?? {}
          const durable = prepared.durable?.then(() => points.at('snapshot'))
          return durable === undefined ? prepared : { ...prepared, durable }
        },
        commit: async (committable) => writer.commit?.(committable),
        close: () => writer.close?.(),
      }
    },
  }
}

interface Hooks {
  readonly before?: () => void
  readonly after?: () => void
}

/** The same client, with something done before and after some of its calls. */
function wrapped(
  client: TransactionalClient,
  hooks: { readonly [K in keyof TransactionalClient]?: Hooks },
): TransactionalClient {
  return new Proxy(client, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name)
      if (typeof method !== 'function') return method
      const { before, after } = hooks[name as keyof TransactionalClient] ?? {}
      return async (...parameters: unknown[]) => {
        before?.()
        const answer: unknown = await method.apply(target, parameters)
        after?.()
        return answer
      }
    },
  })
}

/** Of a process that is only imported: for its types and names. */
const isMain =
  process.argv[1] !== undefined && basename(process.argv[1]).startsWith('exactly-once-child')
const [, , argument] = process.argv
if (isMain && argument !== undefined) await main(JSON.parse(argument) as ChildOptions)
