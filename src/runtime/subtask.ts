/**
 * One subtask at work: its input, its chain, its state and its part of checkpoints. Driven by `step`, which never waits.
 *
 * What a step does, in this order, and what it leaves for the next
 *  1. actions of the outside world (mailbox);
 *  2. what the outputs hold back; while they hold anything, nothing further is fed;
 *  3. what operators left behind when the outputs were full;
 *  4. a snapshot whose barriers have come;
 *  5. timers and wake-ups of processing time;
 *  6. the rest of a batch, or the next element of the input or the source;
 *  7. when there was nothing: hand on what is gathered (the input ran dry).
 * And a slice of a running snapshot, in between.
 *
 * Invariants
 *  - A snapshot is taken between two records, with nothing left behind in the chain: state, timers, positions and what the outputs
 *    have been given agree.
 *  - At most one snapshot runs; a later checkpoint ends the former (the coordinator has given it up by then).
 *  - An error ends the subtask: it is reported once, with the operator it belongs to, and no step does anything any more.
 */
import type { Barrier } from '../channel/channel.ts'
import type { ExchangeOutput } from '../channel/exchange-output.ts'
import { OutputGate } from '../channel/output-gate.ts'
import type { CheckpointMark } from '../checkpoint/alignment.ts'
import { decodeItems, encodeItems } from '../checkpoint/manifest.ts'
import type { OperatorAck, SubtaskAck } from '../checkpoint/pending-checkpoint.ts'
import type { OperatorRestore } from '../checkpoint/restore-plan.ts'
import type { OperatorSnapshot } from '../contract/operator.ts'
import type { SnapshotStorage } from '../contract/snapshot-storage.ts'
import type { Split } from '../contract/source.ts'
import type { KeyedSnapshot, KeyedStore, StateBackend } from '../contract/state-backend.ts'
import { EngineError, toEngineError } from '../core/errors.ts'
import { keyGroupsOf } from '../core/key-group.ts'
import type { Logger } from '../core/log.ts'
import { BATCH_RECORDS_MAX } from '../core/record-batch.ts'
import type { Clock } from '../core/time.ts'
import { RecordTime, WATERMARK_MAX, WATERMARK_MIN } from '../core/time.ts'
import type { Exchange, Task } from '../plan/execution-plan.ts'
import type { GraphNode } from '../plan/job-graph.ts'
import { nameOf, typeOf, uidOf } from '../plan/job-graph.ts'
import { mayRetractInto } from '../plan/execution-plan.ts'
import { Chain } from './chain.ts'
import { InputGate } from './input-gate.ts'
import type { InputChannel, PolledBatch } from './input-gate.ts'
import { StoreContext, operatorContext } from './operator-context.ts'
import type { OperatorNode } from './operator-node.ts'
import { openSink } from './sink-operator.ts'
import { SourceHead } from './source-head.ts'
import type { SplitState } from './source-head.ts'
import { SubtaskMetrics } from './subtask-metrics.ts'
import type { SubtaskFigures } from './subtask-metrics.ts'

/** Entries of a snapshot written between two batches: some tenths of a millisecond. */
const SNAPSHOT_ENTRIES_PER_STEP_DEFAULT = 1024
/** A source reads more at once where its output is divided among many, so that their frames get full. */
const SOURCE_RECORDS_MAX = 2048

/** What a checkpoint's trigger says beside its number. */
export interface CheckpointTrigger {
  readonly mark: CheckpointMark
  /** Names the attempt to take it: its data lies apart from that of every other. */
  readonly attempt: string
  /** Whether it must share no file with earlier ones. */
  readonly isSelfContained: boolean
  /** Where a savepoint goes. */
  readonly directory?: string
}

/** What the subtask tells. Called on its thread, from `step` or from a callback. */
export interface SubtaskEvents {
  failed(error: EngineError): void
  acknowledged(checkpointId: number, ack: SubtaskAck): void
  declined(checkpointId: number, error: EngineError): void
  /** Everything was read, fired and handed on. */
  inputEnded(): void
  /** The source has stopped reading, as it was asked. */
  suspended(): void
  /** All output of the checkpoint is committed. */
  confirmed(checkpointId: number): void
}

export interface SubtaskOptions {
  readonly jobName: string
  readonly task: Task
  readonly subtaskIndex: number
  readonly maxParallelism: number
  readonly attempt: string
  readonly lineage: string
  readonly channels: readonly InputChannel[]
  readonly makeOutput: (
    exchange: Exchange,
    parts: { readonly copies: boolean; readonly time: RecordTime; readonly gate: OutputGate },
  ) => ExchangeOutput
  /** What its operators begin with, by uid. */
  readonly restore: ReadonlyMap<string, OperatorRestore>
  readonly backend: StateBackend
  readonly storage: SnapshotStorage
  readonly workDirectory: (operatorUid: string) => string
  readonly exactlyOnce: boolean
  readonly isCheckpointed: boolean
  /** Entries of a running snapshot that are written between two batches. */
  readonly snapshotEntriesPerStep?: number
  readonly clock: Clock
  readonly logger: Logger
  /** Something happened that a sleeping slot should look at. */
  readonly wake: () => void
  readonly events: SubtaskEvents
}

interface RunningSnapshot {
  readonly mark: CheckpointMark
  readonly keyed: KeyedSnapshot | undefined
  isWritten: boolean
}

export class Subtask {
  readonly options: SubtaskOptions
  readonly #metrics: SubtaskMetrics
  readonly #time = new RecordTime()
  readonly #gate = new OutputGate()
  readonly #site = { index: 0 }
  readonly #abort = new AbortController()
  readonly #actions: (() => void)[] = []
  readonly #triggers = new Map<number, CheckpointTrigger>()
  readonly #polled: PolledBatch = { batch: undefined as never, channelIndex: 0, inputIndex: 0 }
  #chain!: Chain
  #input!: InputGate
  #source: SourceHead | undefined
  #store: KeyedStore | undefined
  #keyed: StoreContext | undefined
  /** The next record of the batch at hand; -1 where none is at hand. */
  #row = -1
  /** Whether operators may have left something behind. */
  #isUnfinished = false
  /** The checkpoint whose snapshot is due. */
  #due: CheckpointMark | undefined
  #isPrepared = false
  #running: RunningSnapshot | undefined
  /** The checkpoint whose commits are being waited for. */
  #toConfirm: number | undefined
  #stop: 'no' | 'asked' | 'asked to drain' | 'done' = 'no'
  #isIdle = false
  #isEnding = false
  #hasReportedEnd = false
  #isFailed = false
  #isClosed = false

  private constructor(options: SubtaskOptions) {
    this.options = options
    this.#metrics = new SubtaskMetrics()
  }

  /** Opens state, operators, source and sinks, with what they had at the restored checkpoint. */
  static async open(options: SubtaskOptions): Promise<Subtask> {
    const subtask = new Subtask(options)
    try {
      await subtask.#open()
    } catch (error) {
      await subtask.close()
      throw subtask.#placed(error)
    }
    return subtask
  }

  get name(): string {
    return `${this.options.task.nodes.map(nameOf).join(' -> ')}#${this.options.subtaskIndex}`
  }

  /** Whether it makes its records itself. */
  get isSource(): boolean {
    return this.#source !== undefined
  }

  /** Takes a step; whether anything was done. `nowMs` is processing time. */
  step(nowMs: number): boolean {
    if (this.#isFailed || this.#isClosed) return false
    try {
      return this.#step(nowMs)
    } catch (error) {
      this.#fail(error)
      return true
    }
  }

  /** When the next step is due although nothing happens, in processing time. */
  nextWakeMs(): number {
    if (this.#isFailed || this.#isClosed) return Infinity
    return Math.min(this.#chain.nextWakeMs(), this.#source?.wakeAtMs ?? Infinity)
  }

  /** All subtasks of the region are open. */
  start(): void {
    this.#guard(() => {
      for (const node of this.#chain.nodes) {
        node.instance?.onStart?.()
        node.announce()
      }
    })
  }

  trigger(trigger: CheckpointTrigger): void {
    this.#guard(() => {
      this.#triggers.set(trigger.mark.checkpointId, trigger)
      this.#input.trigger(trigger.mark)
    })
  }

  abortCheckpoint(checkpointId: number): void {
    this.#guard(() => {
      this.#triggers.delete(checkpointId)
      this.#input.abort(checkpointId)
      this.#abandon(checkpointId)
    })
  }

  completeCheckpoint(checkpointId: number): void {
    this.#guard(() => {
      for (const { instance } of this.#chain.nodes) instance?.onCheckpointComplete?.(checkpointId)
      this.#store?.onCheckpointComplete(checkpointId)
      this.#toConfirm = checkpointId
      this.#confirm()
    })
  }

  /** Gives the source splits; `isLast`: no others will come. */
  assignSplits(splits: readonly (Split | SplitState)[], isLast: boolean): void {
    this.#guard(() => {
      this.#source?.addSplits(splits)
      this.#source?.setDealt(isLast)
    })
  }

  /** Makes a source stop reading; with `drain` it also ends its stream, so that all windows fire. */
  stopSource(drain: boolean): void {
    if (this.#source !== undefined && this.#stop === 'no') {
      this.#stop = drain ? 'asked to drain' : 'asked'
    }
  }

  /** What it has done so far. */
  figures(): SubtaskFigures {
    const recordsOut = this.#chain.outputs.reduce((sum, output) => sum + output.recordsSent, 0)
    return this.#metrics.figures({
      recordsRead: this.#source?.recordsRead ?? 0,
      recordsOut,
      watermarkMs: this.#chain.head.watermarkMs,
      stateCells: this.#store?.statistics().cellCount ?? 0,
      watermarks: this.#chain.nodes
        .filter(({ node }) => node.uid !== undefined)
        .map(({ node, watermarkMs, outputWatermarkMs }) => ({
          operator: nameOf(node),
          inputMs: watermarkMs,
          outputMs: outputWatermarkMs,
        })),
    })
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#abort.abort()
    this.#running?.keyed?.abandon()
    this.#running = undefined
    // fields are missing where opening failed half-way
    const parts = [this.#chain as Chain | undefined, this.#source, this.#store]
    for (const part of parts) {
      try {
        await part?.close()
      } catch (error) {
        this.options.logger.warn(`Closing ${this.name} failed: ${toEngineError(error).message}`)
      }
    }
  }

  async #open(): Promise<void> {
    const { task, subtaskIndex, restore } = this.options
    const head = task.nodes[0] as GraphNode
    const operator = head.kind === 'operator' ? head.operator : undefined
    if (operator?.isKeyed === true) {
      const uid = uidOf(head)
      this.#store = await this.#openStore(uid, operator.states ?? [])
      this.#keyed = new StoreContext(this.#store)
    }
    this.#chain = await Chain.open({
      task,
      time: this.#time,
      gate: this.#gate,
      site: this.#site,
      store: this.#store,
      keyed: this.#keyed,
      watermarkOf: (node) => restore.get(uidOf(node))?.watermarkMs ?? this.#headWatermark(),
      output: (exchange, copies) =>
        this.options.makeOutput(exchange, { copies, time: this.#time, gate: this.#gate }),
      context: (node, output, sides) => {
        this.#site.index = node.index
        return operatorContext({
          jobName: this.options.jobName,
          operatorUid: uidOf(node.node),
          subtaskIndex,
          parallelism: task.parallelism,
          maxParallelism: this.options.maxParallelism,
          node,
          output,
          sides,
          time: this.#time,
          gate: this.#gate,
          mailbox: { submit: (action) => this.#submit(action) },
          clock: this.options.clock,
          keyed: node.index === 0 ? this.#keyed : undefined,
          metrics: this.#metrics.of(nameOf(node.node)),
          logger: this.options.logger,
          signal: this.#abort.signal,
          restoredItems: decodeItems(restore.get(uidOf(node.node))?.items),
        })
      },
      openSink: (context, node) => {
        if (node.kind !== 'sink')
          throw new EngineError('INVARIANT_BROKEN', 'Only sinks are opened so')
        return openSink(context, {
          sink: node.sink,
          lineage: this.options.lineage,
          attempt: this.options.attempt,
          isCheckpointed: this.options.isCheckpointed,
          mayRetract: mayRetractInto(task, node),
          fail: (error) => this.#fail(error),
          committed: () => this.#confirm(),
        })
      },
    })
    if (this.#keyed !== undefined) this.#keyed.hasKey = true
    this.#input = new InputGate(
      this.options.channels,
      {
        onWatermark: (watermarkMs) => this.#chain.head.advance(watermarkMs),
        onSnapshot: (mark) => {
          this.#due = mark
        },
        onAbandon: (checkpointId) => this.#abandon(checkpointId),
        onInputEnd: () => {
          if (this.#input.hasAllEnded) this.#end()
        },
        onIdle: (isIdle) => this.#chain.head.setIdle(isIdle),
      },
      { exactlyOnce: this.options.exactlyOnce, watermarkMs: this.#headWatermark() },
    )
    if (head.kind === 'source') {
      this.#source = await SourceHead.open({
        node: head,
        subtaskIndex,
        parallelism: task.parallelism,
        clock: this.options.clock,
        logger: this.options.logger,
        signal: this.#abort.signal,
        mailbox: { submit: (action) => this.#submit(action) },
        wake: this.options.wake,
        metrics: this.#metrics.of(nameOf(head)),
        fail: (error) => this.#fail(error),
        recordsMax: Math.min(SOURCE_RECORDS_MAX, BATCH_RECORDS_MAX * task.parallelism),
      })
      this.#source.addSplits(decodeItems(restore.get(uidOf(head))?.items) as readonly SplitState[])
    }
  }

  #openStore(
    operatorUid: string,
    states: readonly OperatorAck['states'][number][],
  ): Promise<KeyedStore> {
    const { task, subtaskIndex, maxParallelism, restore, storage, backend } = this.options
    const keyGroups = keyGroupsOf(subtaskIndex, { parallelism: task.parallelism, maxParallelism })
    return this.#withReaders(restore.get(operatorUid)?.keyed ?? [], storage, (readers) =>
      backend.open({
        operatorUid,
        subtaskIndex,
        keyGroups,
        maxParallelism,
        states,
        restore: readers,
        workDirectory: () => this.options.workDirectory(operatorUid),
        wake: this.options.wake,
        fail: (error) => this.#fail(error),
      }),
    )
  }

  async #withReaders<T>(
    handles: OperatorRestore['keyed'],
    storage: SnapshotStorage,
    use: (readers: Awaited<ReturnType<SnapshotStorage['reader']>>[]) => Promise<T>,
  ): Promise<T> {
    const readers = await Promise.all(handles.map((handle) => storage.reader(handle)))
    try {
      return await use(readers)
    } finally {
      await Promise.all(readers.map((reader) => reader.close()))
    }
  }

  /** The watermark the head had been told at the restored checkpoint. */
  #headWatermark(): number {
    const { task, restore } = this.options
    return restore.get(uidOf(task.nodes[0] as GraphNode))?.watermarkMs ?? WATERMARK_MIN
  }

  #step(nowMs: number): boolean {
    let isBusy = this.#runActions()
    isBusy = this.#stepSnapshot() || isBusy
    if (this.#store?.work() === true) isBusy = true
    if (!this.#chain.pump() && this.#gate.isClosed) return isBusy
    if (this.#isUnfinished) {
      if (!this.#chain.run()) return true
      this.#isUnfinished = false
      // the end of input may have been among it
      this.#afterFeed()
      isBusy = true
    }
    if (this.#row >= 0) {
      this.#feed()
      return true
    }
    if (this.#due !== undefined) return this.#takeDue() || isBusy
    for (const node of this.#chain.nodes) {
      if (nowMs >= node.nextWakeMs()) {
        node.wake(nowMs)
        this.#afterFeed()
        isBusy = true
      }
    }
    if (this.#isUnfinished) return true
    if (!(this.#store?.hasRoom() ?? true) || !this.#chain.hasRoom) {
      this.#chain.flush()
      return isBusy
    }
    if (this.#source === undefined ? this.#poll() : this.#read(this.#source, nowMs)) return true
    this.#chain.flush()
    return isBusy
  }

  #runActions(): boolean {
    if (this.#actions.length === 0) return false
    const actions = this.#actions.splice(0)
    for (const action of actions) action()
    this.#afterFeed()
    return true
  }

  /** Takes the next element of the input channels. */
  #poll(): boolean {
    const polled = this.#input.poll(this.#polled)
    if (polled === 'empty') return false
    if (polled === 'records') {
      this.#metrics.recordsIn += this.#polled.batch.count
      this.#row = 0
      this.#feed()
    } else {
      this.#afterFeed()
    }
    return true
  }

  /** Before the records of the same read: a position between two batches covers both. */
  #sendLetters(source: SourceHead): void {
    for (const letter of source.letters.splice(0)) {
      this.#time.timestampMs = letter.timestampMs
      this.#chain.letters(letter)
      this.#site.index = 0
    }
  }

  /** Takes the next batch of the source. */
  #read(source: SourceHead, nowMs: number): boolean {
    if (this.#isEnding || this.#stop === 'done') return false
    if (this.#stop !== 'no') {
      const isDraining = this.#stop === 'asked to drain'
      this.#stop = 'done'
      if (isDraining) this.#endSource()
      else this.options.events.suspended()
      return true
    }
    // what a source or the job's own timestampMs throws is the source's
    this.#site.index = 0
    if (source.read(nowMs)) {
      if (source.letters.length > 0) this.#sendLetters(source)
      if (this.#isIdle) this.#setIdle(false)
      this.#polled.batch = source.batch
      this.#polled.inputIndex = 0
      this.#row = 0
      this.#feed()
      return true
    }
    if (source.hasEnded) {
      this.#endSource()
      return true
    }
    // a split that ended or became idle may have held the watermark back
    const before = this.#chain.head.watermarkMs
    this.#chain.head.advance(source.watermark())
    if (source.isIdle && !this.#isIdle) this.#setIdle(true)
    this.#afterFeed()
    return this.#chain.head.watermarkMs > before
  }

  #setIdle(isIdle: boolean): void {
    this.#isIdle = isIdle
    this.#chain.head.setIdle(isIdle)
  }

  /** Hands on the batch at hand, as far as the outputs allow. */
  #feed(): void {
    const { batch, channelIndex, inputIndex } = this.#polled
    this.#row = (this.#chain.loops[inputIndex] as Chain['loops'][number])(batch, this.#row)
    if (this.#keyed !== undefined) this.#keyed.hasKey = true
    if (this.#row === batch.count) {
      // what was left behind is handed on before the watermark that came with the batch
      if (this.#gate.isClosed) this.#isUnfinished = true
      this.#row = -1
      if (this.#source === undefined) {
        this.#input.finishBatch(channelIndex, batch)
      } else {
        batch.reset()
        this.#chain.head.advance(this.#source.watermark())
      }
    }
    this.#afterFeed()
  }

  #afterFeed(): void {
    if (this.#gate.isClosed || this.#chain.hasSteps) this.#isUnfinished = true
    else if (this.#isEnding) this.#reportEnd()
  }

  #endSource(): void {
    this.#chain.head.advance(WATERMARK_MAX)
    this.#end()
    this.#afterFeed()
  }

  #end(): void {
    this.#isEnding = true
    this.#chain.head.end()
    this.#reportEnd()
  }

  #reportEnd(): void {
    if (this.#hasReportedEnd || this.#chain.nodes.some(({ isEnded }) => !isEnded)) return
    this.#hasReportedEnd = true
    this.options.events.inputEnded()
  }

  /** Takes the snapshot that is due, if its trigger has come and the operators are prepared. */
  #takeDue(): boolean {
    const mark = this.#due as CheckpointMark
    const trigger = this.#triggers.get(mark.checkpointId)
    if (trigger === undefined) return false
    if (!this.#isPrepared) {
      this.#isPrepared = true
      for (const node of this.#chain.nodes) node.prepare()
      if (this.#gate.isClosed || this.#chain.hasSteps) {
        this.#isUnfinished = true
        return true
      }
    }
    this.#due = undefined
    this.#isPrepared = false
    this.#take(trigger)
    return true
  }

  #take(trigger: CheckpointTrigger): void {
    const { mark } = trigger
    if (this.#running !== undefined) this.#abandon(this.#running.mark.checkpointId)
    for (const id of this.#triggers.keys()) if (id <= mark.checkpointId) this.#triggers.delete(id)

    const store = this.options.isCheckpointed ? this.#store : undefined
    const keyed = store?.snapshot({
      checkpointId: mark.checkpointId,
      kind: mark.kind,
      writer: this.options.storage.writer({
        checkpointId: mark.checkpointId,
        attempt: trigger.attempt,
        kind: mark.kind,
        isSelfContained: trigger.isSelfContained,
        operatorUid: uidOf(this.#chain.head.node),
        subtaskIndex: this.options.subtaskIndex,
        keyGroups: keyGroupsOf(this.options.subtaskIndex, {
          parallelism: this.options.task.parallelism,
          maxParallelism: this.options.maxParallelism,
        }),
        wake: this.options.wake,
        ...(trigger.directory === undefined ? {} : { directory: trigger.directory }),
      }),
    })
    const durable: Promise<void>[] = []
    const operators: OperatorAck[] = []
    for (const [index, node] of this.#chain.nodes.entries()) {
      const part = this.#snapshotOperator(node, mark)
      operators.push(part.ack)
      const { durable: settled, laterItems } = part
      if (settled === undefined) continue
      durable.push(
        laterItems === undefined
          ? settled
          : settled.then(() => {
              operators[index] = { ...part.ack, items: encodeItems(laterItems) }
            }),
      )
    }
    const barrier: Barrier = {
      kind: 'barrier',
      checkpointId: mark.checkpointId,
      checkpointKind: mark.kind,
    }
    for (const node of this.#chain.nodes) {
      // an ended channel counts as having every later barrier
      if (!node.isEnded) for (const output of node.outputs) output.broadcast(barrier)
    }
    const running: RunningSnapshot = { mark, keyed, isWritten: keyed === undefined }
    this.#running = running
    void this.#acknowledge(running, operators, durable)
  }

  #snapshotOperator(
    node: OperatorNode,
    mark: CheckpointMark,
  ): {
    readonly ack: OperatorAck
    readonly durable: Promise<void> | undefined
    readonly laterItems: readonly unknown[] | undefined
  } {
    this.#site.index = node.index
    const graphNode = node.node
    const snapshot: OperatorSnapshot | undefined =
      graphNode.kind === 'source'
        ? { items: this.#source?.snapshot() ?? [] }
        : node.instance?.snapshot?.(mark)
    const isLater = snapshot?.isCompletedLater === true && snapshot.items.length > 0
    const items = isLater ? [] : (snapshot?.items ?? [])
    return {
      durable: snapshot?.durable,
      laterItems: isLater ? snapshot.items : undefined,
      ack: {
        uid: uidOf(graphNode),
        type: typeOf(graphNode),
        parallelism: this.options.task.parallelism,
        states: graphNode.kind === 'operator' ? (graphNode.operator.states ?? []) : [],
        watermarkMs: node.watermarkMs,
        ...(items.length === 0 ? {} : { items: encodeItems(items) }),
      },
    }
  }

  async #acknowledge(
    running: RunningSnapshot,
    operators: readonly OperatorAck[],
    durable: readonly Promise<void>[],
  ): Promise<void> {
    const { checkpointId } = running.mark
    const { events, task, subtaskIndex } = this.options
    try {
      const [handle] = await Promise.all([running.keyed?.finished, ...durable])
      if (this.#running !== running) return
      this.#running = undefined
      const [head, ...others] = operators as [OperatorAck, ...OperatorAck[]]
      const acked = handle === undefined ? operators : [{ ...head, keyed: handle }, ...others]
      events.acknowledged(checkpointId, { taskId: task.id, subtaskIndex, operators: acked })
    } catch (error) {
      if (this.#running !== running) return
      this.#running = undefined
      running.keyed?.abandon()
      events.declined(checkpointId, this.#placed(error))
    }
  }

  #stepSnapshot(): boolean {
    const running = this.#running
    if (running === undefined || running.isWritten || running.keyed === undefined) return false
    const status = running.keyed.step(
      this.options.snapshotEntriesPerStep ?? SNAPSHOT_ENTRIES_PER_STEP_DEFAULT,
    )
    if (status === 'written') running.isWritten = true
    return status !== 'waiting'
  }

  /** The checkpoint will not be: what was written of it is given up. */
  #abandon(checkpointId: number): void {
    if (this.#due?.checkpointId === checkpointId) {
      this.#due = undefined
      this.#isPrepared = false
    }
    if (this.#running?.mark.checkpointId !== checkpointId) return
    const { keyed } = this.#running
    this.#running = undefined
    keyed?.abandon()
  }

  #confirm(): void {
    const checkpointId = this.#toConfirm
    if (checkpointId === undefined) return
    for (const { instance } of this.#chain.nodes) if (instance?.isCommitted?.() === false) return
    this.#toConfirm = undefined
    this.options.events.confirmed(checkpointId)
  }

  #submit(action: () => void): void {
    this.#actions.push(action)
    this.options.wake()
  }

  /** Runs what the slot asks of the subtask; an error in it is the subtask's. */
  #guard(action: () => void): void {
    if (this.#isFailed || this.#isClosed) return
    try {
      action()
    } catch (error) {
      this.#fail(error)
    }
  }

  #fail(error: unknown): void {
    if (this.#isFailed || this.#isClosed) return
    this.#isFailed = true
    this.options.events.failed(this.#placed(error))
  }

  /** The error with the operator whose code was running. */
  #placed(error: unknown): EngineError {
    const { task, subtaskIndex, jobName } = this.options
    const node = task.nodes[this.#site.index] ?? (task.nodes[0] as GraphNode)
    const known = toEngineError(error)
    const place = { job: jobName, operatorUid: uidOf(node), subtaskIndex }
    if (known.code !== 'UNEXPECTED') return known.at(place)
    return new EngineError('USER_FUNCTION_FAILED', `A function threw: ${known.message}`, {
      cause: error,
    }).at(place)
  }
}
