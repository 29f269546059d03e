/**
 * A task slot: the subtasks with one index modulo the number of slots, driven in turns by one thread. Knows no thread itself:
 * whoever drives it (a worker, the calling thread, the simulation) calls `handle` and `turn` and decides when to sleep.
 *
 * Invariants
 *  - Everything of a slot runs on one thread; commands are handled between turns, in order.
 *  - Subtasks of one attempt are opened, started and closed together; what an attempt that was closed still says is dropped.
 */
import { CHANNEL_BOUNDS_DEFAULT } from '../channel/channel.ts'
import type { ChannelBounds, ChannelReader, ChannelWriter } from '../channel/channel.ts'
import type { Doorbell } from '../channel/doorbell.ts'
import { ExchangeOutput, OVERFLOW_BYTES_MAX_DEFAULT } from '../channel/exchange-output.ts'
import type { ExchangeOutputOptions } from '../channel/exchange-output.ts'
import { ShapeBook } from '../channel/frame-codec.ts'
import { LocalChannel } from '../channel/local-channel.ts'
import { RingChannelReader, RingChannelWriter } from '../channel/ring-channel.ts'
import type { SnapshotStorage } from '../contract/snapshot-storage.ts'
import type { StateBackend } from '../contract/state-backend.ts'
import { assert, toErrorData } from '../core/errors.ts'
import type { ErrorData } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'
import type { Clock } from '../core/time.ts'
import type { Exchange, ExecutionPlan, Task } from '../plan/execution-plan.ts'
import { mayRetract, slotOf } from '../plan/execution-plan.ts'
import type { InputChannel } from './input-gate.ts'
import type { SlotCommand, SlotEvent, SubtaskName } from './slot-protocol.ts'
import { Subtask } from './subtask.ts'
import type { SubtaskOptions } from './subtask.ts'

/**
 * Steps of one subtask before the next has its turn. A source takes one, so that what it has read is worked off before it reads on:
 * records that wait are copied by the garbage collector and fall out of the processor's cache.
 */
const STEPS_PER_TURN_MAX = 8

export interface SlotOptions {
  readonly plan: ExecutionPlan
  readonly slotIndex: number
  readonly slotCount: number
  readonly backend: StateBackend
  readonly storage: SnapshotStorage
  /** A fresh directory for an operator's working files. */
  readonly workDirectory: (attempt: string, operatorUid: string, subtaskIndex: number) => string
  readonly exactlyOnce: boolean
  readonly isCheckpointed: boolean
  /** See Subtask. */
  readonly snapshotEntriesPerStep?: number
  readonly bounds?: ChannelBounds
  readonly overflowBytesMax?: number
  /** Of each slot; undefined where there is one slot only. */
  readonly bells: readonly Doorbell[] | undefined
  readonly clock: Clock
  readonly logger: Logger
  readonly send: (event: SlotEvent) => void
  /** A sleeping slot should have a turn. May be called from any callback. */
  readonly wake: () => void
}

interface Attempt {
  readonly name: string
  readonly subtasks: Subtask[]
  isRunning: boolean
  isClosed: boolean
}

export class Slot {
  readonly #options: SlotOptions
  readonly #attempts = new Map<string, Attempt>()
  #running: Subtask[] = []

  constructor(options: SlotOptions) {
    this.#options = options
  }

  /** The subtasks that take steps now. */
  get subtasks(): readonly Subtask[] {
    return this.#running
  }

  handle(command: SlotCommand): void {
    switch (command.kind) {
      case 'deploy':
        void this.#deploy(command)
        return
      case 'start':
        return this.#start(command.attempt)
      case 'close':
        void this.#close(command.attempt)
        return
      case 'assign': {
        const subtask = this.#find(command)
        subtask?.assignSplits(command.splits, command.isLast)
        return
      }
      case 'trigger':
        for (const subtask of this.#running) subtask.trigger(command.trigger)
        return
      case 'abort':
        for (const subtask of this.#running) subtask.abortCheckpoint(command.checkpointId)
        return
      case 'complete':
        for (const subtask of this.#running) subtask.completeCheckpoint(command.checkpointId)
        return
      case 'stop':
        for (const subtask of this.#running) subtask.stopSource(command.drain)
        return
    }
  }

  /** Gives each subtask a turn; whether any of them did something. */
  turn(): boolean {
    const nowMs = this.#options.clock.now()
    let isBusy = false
    for (const subtask of this.#running) {
      const stepsMax = subtask.isSource ? 1 : STEPS_PER_TURN_MAX
      for (let steps = 0; steps < stepsMax && subtask.step(nowMs); steps++) isBusy = true
    }
    return isBusy
  }

  /** When the next turn is due although nothing happens, in processing time. */
  nextWakeMs(): number {
    let next = Infinity
    for (const subtask of this.#running) next = Math.min(next, subtask.nextWakeMs())
    return next
  }

  sendFigures(): void {
    this.#options.send({
      kind: 'figures',
      subtasks: this.#running.map((subtask) => ({
        ...nameOfSubtask(subtask.options),
        figures: subtask.figures(),
      })),
    })
  }

  /** Closes everything. */
  async close(): Promise<void> {
    await Promise.all([...this.#attempts.keys()].map((attempt) => this.#close(attempt)))
  }

  async #deploy(command: Extract<SlotCommand, { readonly kind: 'deploy' }>): Promise<void> {
    const { plan, slotIndex, slotCount, send } = this.#options
    const attempt: Attempt = {
      name: command.attempt,
      subtasks: [],
      isRunning: false,
      isClosed: false,
    }
    this.#attempts.set(command.attempt, attempt)
    const channels = new Channels(this.#options, command.rings)
    try {
      const tasks = plan.tasks.filter(({ region }) => region === command.region)
      for (const task of tasks) {
        for (let index = slotIndex; index < task.parallelism; index += slotCount) {
          const subtask = await Subtask.open(this.#subtaskOptions(task, index, command, channels))
          attempt.subtasks.push(subtask)
          if (attempt.isClosed) {
            // given up while it was opened
            await subtask.close()
            return
          }
        }
      }
      send({ kind: 'deployed', attempt: command.attempt })
    } catch (error) {
      if (!attempt.isClosed) this.#sendFailed(command.attempt, toErrorData(error))
    }
  }

  #start(name: string): void {
    const attempt = this.#attempts.get(name)
    if (attempt === undefined || attempt.isClosed) return
    assert(!attempt.isRunning, `Attempt ${name} is started once`)
    attempt.isRunning = true
    this.#listRunning()
    for (const subtask of attempt.subtasks) subtask.start()
  }

  async #close(name: string): Promise<void> {
    const attempt = this.#attempts.get(name)
    if (attempt === undefined || attempt.isClosed) return
    this.sendFigures()
    attempt.isClosed = true
    this.#listRunning()
    for (const subtask of attempt.subtasks) await subtask.close()
    this.#attempts.delete(name)
    this.#options.send({ kind: 'closed', attempt: name })
  }

  #listRunning(): void {
    // in the order of the plan, so that what one subtask hands on the next can take in the same turn
    this.#running = [...this.#attempts.values()]
      .filter(({ isRunning, isClosed }) => isRunning && !isClosed)
      .flatMap(({ subtasks }) => subtasks)
      .sort((a, b) => a.options.task.id - b.options.task.id)
  }

  #find(name: SubtaskName): Subtask | undefined {
    return this.#attempts
      .get(name.attempt)
      ?.subtasks.find(
        ({ options: { task, subtaskIndex } }) =>
          task.id === name.taskId && subtaskIndex === name.subtaskIndex,
      )
  }

  #subtaskOptions(
    task: Task,
    subtaskIndex: number,
    command: Extract<SlotCommand, { readonly kind: 'deploy' }>,
    channels: Channels,
  ): SubtaskOptions {
    const { plan, backend, storage, exactlyOnce, isCheckpointed, clock, logger, wake, send } =
      this.#options
    const { snapshotEntriesPerStep } = this.#options
    const name: SubtaskName = { attempt: command.attempt, taskId: task.id, subtaskIndex }
    const isCurrent = (): boolean => this.#attempts.get(command.attempt)?.isClosed === false
    return {
      jobName: plan.graph.name,
      task,
      subtaskIndex,
      maxParallelism: plan.maxParallelism,
      attempt: command.attempt,
      lineage: command.lineage,
      channels: channels.into(task, subtaskIndex),
      makeOutput: (exchange, parts) => channels.output(exchange, subtaskIndex, parts),
      restore: new Map(
        command.restores.flatMap(({ uid, subtasks }) => {
          const own = subtasks[subtaskIndex]
          return own === undefined ? [] : [[uid, own] as const]
        }),
      ),
      backend,
      storage,
      workDirectory: (operatorUid) =>
        this.#options.workDirectory(command.attempt, operatorUid, subtaskIndex),
      // a row that counts twice could not be taken back once
      exactlyOnce: exactlyOnce || mayRetract(plan),
      isCheckpointed,
      ...(snapshotEntriesPerStep === undefined ? {} : { snapshotEntriesPerStep }),
      clock,
      logger,
      wake,
      events: {
        failed: (error) => {
          if (isCurrent()) this.#sendFailed(command.attempt, toErrorData(error))
        },
        acknowledged: (checkpointId, ack) => {
          if (isCurrent()) send({ kind: 'acknowledged', checkpointId, ack })
        },
        declined: (checkpointId, error) => {
          if (isCurrent()) send({ kind: 'declined', checkpointId, error: toErrorData(error) })
        },
        inputEnded: () => send({ kind: 'input-ended', ...name }),
        suspended: () => send({ kind: 'suspended', ...name }),
        confirmed: (checkpointId) => send({ kind: 'confirmed', checkpointId, ...name }),
      },
    }
  }

  #sendFailed(attempt: string, error: ErrorData): void {
    this.#options.send({ kind: 'failed', attempt, error })
  }
}

/** The name of a channel: exchange, producer, consumer. */
export function channelId(exchange: Exchange, producer: number, consumer: number): string {
  return `${exchange.id}/${producer}/${consumer}`
}

/** The channels of an exchange as pairs of producer and consumer. */
export function* channelsOf(
  exchange: Exchange,
  tasks: readonly Task[],
): Generator<readonly [producer: number, consumer: number]> {
  const producers = (tasks[exchange.fromTask] as Task).parallelism
  const consumers = (tasks[exchange.toTask] as Task).parallelism
  for (let producer = 0; producer < producers; producer++) {
    for (let consumer = 0; consumer < consumers; consumer++) {
      if (exchange.partitioning.kind === 'forward' && producer !== consumer) continue
      yield [producer, consumer]
    }
  }
}

/** The memory of rings is a power of two. */
export function ringCapacity(bounds: ChannelBounds): number {
  return 2 ** Math.ceil(Math.log2(Math.max(4096, bounds.bytesInFlightMax)))
}

/** The channels that one attempt has in this slot. */
class Channels {
  readonly #options: SlotOptions
  readonly #rings: ReadonlyMap<string, SharedArrayBuffer>
  readonly #locals = new Map<string, LocalChannel>()
  readonly #bounds: ChannelBounds

  constructor(options: SlotOptions, rings: ReadonlyMap<string, SharedArrayBuffer>) {
    this.#options = options
    this.#rings = rings
    this.#bounds = options.bounds ?? CHANNEL_BOUNDS_DEFAULT
  }

  into(task: Task, subtaskIndex: number): InputChannel[] {
    const { tasks } = this.#options.plan
    return task.inputs.flatMap((exchange, inputIndex) =>
      [...channelsOf(exchange, tasks)]
        .filter(([, consumer]) => consumer === subtaskIndex)
        .map(([producer]) => ({
          reader: this.#reader(exchange, task, producer, subtaskIndex),
          inputIndex,
        })),
    )
  }

  output(
    exchange: Exchange,
    producer: number,
    parts: Pick<ExchangeOutputOptions, 'copies' | 'time' | 'gate'>,
  ): ExchangeOutput {
    const { plan } = this.#options
    const target = plan.tasks[exchange.toTask] as Task
    const book = new ShapeBook()
    const consumers = [...channelsOf(exchange, plan.tasks)].flatMap(([from, consumer]) =>
      from === producer ? [consumer] : [],
    )
    const { partitioning } = exchange
    return new ExchangeOutput({
      ...parts,
      operatorUid: `${exchange.edge.from}`,
      division: partitioning,
      writers: consumers.map((consumer) => this.#writer(exchange, producer, consumer, book)),
      isLocal: consumers.map((consumer) => this.#isLocal(producer, consumer)),
      scale: { parallelism: target.parallelism, maxParallelism: plan.maxParallelism },
      subtaskIndex: producer,
      overflowBytesMax: this.#options.overflowBytesMax ?? OVERFLOW_BYTES_MAX_DEFAULT,
    })
  }

  #reader(exchange: Exchange, task: Task, producer: number, consumer: number): ChannelReader {
    const id = channelId(exchange, producer, consumer)
    if (this.#isLocal(producer, consumer)) return this.#local(id)
    const [head] = task.nodes
    return new RingChannelReader(this.#ring(id), {
      ...this.#ringOptions(),
      bell: this.#bellOf(producer),
      keepsStrings: head?.kind === 'operator' && head.operator.keepsValues === true,
    })
  }

  #writer(exchange: Exchange, producer: number, consumer: number, book: ShapeBook): ChannelWriter {
    const id = channelId(exchange, producer, consumer)
    if (this.#isLocal(producer, consumer)) return this.#local(id)
    return new RingChannelWriter(this.#ring(id), {
      ...this.#ringOptions(),
      book,
      isKeyed: exchange.partitioning.kind === 'hash',
      bell: this.#bellOf(consumer),
    })
  }

  #isLocal(producer: number, consumer: number): boolean {
    const { slotCount } = this.#options
    return slotOf(producer, slotCount) === slotOf(consumer, slotCount)
  }

  #local(id: string): LocalChannel {
    let channel = this.#locals.get(id)
    if (channel === undefined) {
      channel = new LocalChannel(this.#bounds)
      this.#locals.set(id, channel)
    }
    return channel
  }

  #ring(id: string): SharedArrayBuffer {
    const ring = this.#rings.get(id)
    assert(ring !== undefined, `The channel ${id} between two slots has memory`)
    return ring
  }

  #ringOptions(): { readonly capacityBytes: number; readonly framesInFlightMax: number } {
    return {
      capacityBytes: ringCapacity(this.#bounds),
      framesInFlightMax: this.#bounds.framesInFlightMax,
    }
  }

  #bellOf(subtaskIndex: number): Doorbell {
    const bell = this.#options.bells?.[slotOf(subtaskIndex, this.#options.slotCount)]
    assert(bell !== undefined, `The slot of subtask ${subtaskIndex} has a bell`)
    return bell
  }
}

function nameOfSubtask({ attempt, task, subtaskIndex }: SubtaskOptions): SubtaskName {
  return { attempt, taskId: task.id, subtaskIndex }
}
