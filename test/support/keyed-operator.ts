/**
 * One subtask of a keyed operator, driven call by call as the engine would: the engine's own operator node, the memory backend, and
 * whoever drives it for a source, a clock and a next operator. Can be given up and opened again from a snapshot at any time.
 */
import type { OperatorDescription } from '../../src/contract/operator.ts'
import { EVENT_TIMERS, PROCESSING_TIMERS } from '../../src/contract/operator.ts'
import type { SnapshotHandle } from '../../src/contract/snapshot-storage.ts'
import type { KeyedStore } from '../../src/contract/state-backend.ts'
import { hashKey } from '../../src/core/key-hash.ts'
import type { AnyKey } from '../../src/core/key.ts'
import { silentLogger } from '../../src/core/log.ts'
import { RecordTime } from '../../src/core/time.ts'
import { decodeValue, encodeValue } from '../../src/core/value-codec.ts'
import type { GraphNode } from '../../src/plan/job-graph.ts'
import { StoreContext, operatorContext } from '../../src/runtime/operator-context.ts'
import { OperatorNode } from '../../src/runtime/operator-node.ts'
import { memory } from '../../state-backends/memory/index.ts'
import { TestSnapshotStorage } from './snapshot-storage.ts'

/** What came out, and the watermark that was handed on before it. */
export interface Emitted {
  readonly side: string
  readonly value: unknown
  readonly timestampMs: number
  readonly isRetraction: boolean
  readonly handedOnMs: number
}

export interface OperatorSnapshotOf {
  readonly handle: SnapshotHandle
  readonly watermarkMs: number
  readonly items: readonly unknown[]
}

const KEY_GROUPS = { start: 0, end: 16 }
const gate = { isClosed: false }

export class KeyedOperatorRun {
  /** Since the last `take`. */
  emitted: Emitted[] = []
  lateRecords: number = 0
  nowMs: number = 0
  /** The watermark that came out. */
  handedOnMs: number = -Infinity
  readonly #description: OperatorDescription
  readonly #storage = new TestSnapshotStorage({ directory: 'none' })
  #time = new RecordTime()
  #node!: OperatorNode
  #store!: KeyedStore
  #snapshots = 0

  private constructor(description: OperatorDescription) {
    this.#description = description
  }

  static async open(description: OperatorDescription): Promise<KeyedOperatorRun> {
    const run = new KeyedOperatorRun(description)
    await run.#open(undefined)
    return run
  }

  record(key: AnyKey, value: unknown, timestampMs: number, isRetraction = false): void {
    this.#store.useKey(key, hashKey(key))
    this.#time.timestampMs = timestampMs
    this.#time.isRetraction = isRetraction
    this.#node.instance?.process(value, 0)
    this.#time.isRetraction = false
    this.#node.fireDue()
  }

  watermark(watermarkMs: number): void {
    this.#node.advance(watermarkMs)
  }

  /** The clock, with what is due on the way. */
  advanceTo(nowMs: number): void {
    for (let dueMs = this.#node.nextWakeMs(); dueMs <= nowMs; dueMs = this.#node.nextWakeMs()) {
      this.nowMs = Math.max(this.nowMs, dueMs)
      this.#node.wake(this.nowMs)
    }
    this.nowMs = nowMs
  }

  /** After a restore: the job begins to run. */
  start(): void {
    this.#node.instance?.onStart?.()
  }

  /** What came out since it was asked last. */
  take(): Emitted[] {
    return this.emitted.splice(0)
  }

  get cellCount(): number {
    return this.#store.statistics().cellCount
  }

  async snapshot(): Promise<OperatorSnapshotOf> {
    const checkpointId = ++this.#snapshots
    const writer = this.#storage.writer({
      checkpointId,
      attempt: '',
      kind: 'savepoint',
      isSelfContained: true,
      operatorUid: 'tested',
      subtaskIndex: 0,
      keyGroups: KEY_GROUPS,
      wake: () => {},
    })
    const snapshot = this.#store.snapshot({ checkpointId, kind: 'savepoint', writer })
    while (snapshot.step(1024) === 'more');
    const { items = [] } =
      this.#node.instance?.snapshot?.({ checkpointId, kind: 'savepoint' }) ?? {}
    const bytes = encodeValue(items)
    return {
      handle: await snapshot.finished,
      watermarkMs: this.#node.watermarkMs,
      items: decodeValue(bytes) as unknown[],
    }
  }

  /** A crash: everything is as it was at the snapshot. Rewinding the clock and what came out is up to the caller. */
  async restore(snapshot: OperatorSnapshotOf): Promise<void> {
    await this.#store.close()
    await this.#open(snapshot)
  }

  async close(): Promise<void> {
    await this.#store.close()
  }

  async #open(from: OperatorSnapshotOf | undefined): Promise<void> {
    this.#time = new RecordTime()
    this.#store = await memory.open({
      operatorUid: 'tested',
      subtaskIndex: 0,
      keyGroups: KEY_GROUPS,
      maxParallelism: KEY_GROUPS.end,
      states: this.#description.states ?? [],
      restore: from === undefined ? [] : [await this.#storage.reader(from.handle)],
      workDirectory: () => '',
      wake: () => {},
      fail: (error) => {
        throw error
      },
    })
    const keyed = new StoreContext(this.#store)
    const watermarkMs = from?.watermarkMs ?? -Infinity
    const node = this.#newNode(0, this.#description.holdsWatermarks === true, watermarkMs)
    const next = this.#newNode(1, false, -Infinity)
    next.instance = {
      process: () => {},
      onWatermark: (handedOnMs) => {
        this.handedOnMs = handedOnMs
        return true
      },
    }
    node.children.push(next)
    this.#node = node
    node.instance = await this.#description.open(
      operatorContext({
        jobName: 'test',
        operatorUid: 'tested',
        subtaskIndex: 0,
        parallelism: 1,
        maxParallelism: KEY_GROUPS.end,
        node,
        output: { emit: (value) => this.#add('', value) },
        sides: new Map([['late', { emit: (value: unknown) => this.#add('late', value) }]]),
        time: this.#time,
        gate,
        mailbox: { submit: (action) => action() },
        clock: { now: () => this.nowMs, elapsed: () => this.nowMs },
        keyed,
        metrics: {
          counter: () => ({ add: (count = 1) => void (this.lateRecords += count) }),
          gauge: () => {},
        } as never,
        logger: silentLogger,
        signal: new AbortController().signal,
        restoredItems: from?.items ?? [],
      }),
    )
    const names = (this.#description.states ?? []).map(({ name }) => name)
    if (names.includes(EVENT_TIMERS)) node.eventTimers = this.#store.timers(EVENT_TIMERS)
    if (names.includes(PROCESSING_TIMERS)) {
      node.processingTimers = this.#store.timers(PROCESSING_TIMERS)
    }
    keyed.hasKey = true
  }

  #add(side: string, value: unknown): void {
    const { timestampMs, isRetraction } = this.#time
    this.emitted.push({ side, value, timestampMs, isRetraction, handedOnMs: this.handedOnMs })
  }

  #newNode(index: number, holdsWatermarks: boolean, watermarkMs: number): OperatorNode {
    return new OperatorNode({
      node: { kind: 'operator' } as GraphNode,
      index,
      site: { index: 0 },
      gate,
      time: this.#time,
      holdsWatermarks,
      leaveKeys: () => {},
      watermarkMs,
    })
  }
}
