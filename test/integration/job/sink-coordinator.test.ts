/** A sink with a coordinator's side, on a real checkpoint directory: what it is asked, and what the job makes of its answers. */
import assert from 'node:assert/strict'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { fromArray, job, start } from 'millrace'
import type { RunningJob } from 'millrace'
import type { EpochOutcome, RestoredEpoch, Sink, SinkLedger } from '../../../src/contract/sink.ts'
import type { RunOptions } from '../../../src/job/run-options.ts'

/** A sink whose epochs are lists of numbers; commits wait for `isOpen`. */
class CoordinatedSink {
  readonly calls: string[] = []
  readonly visible: number[] = []
  readonly lineages: string[] = []
  readonly owned: boolean[] = []
  stateOf: (checkpointId: number) => EpochOutcome['state'] = () => 'open'
  /** What becomes of epochs that are abandoned. Default: the same. */
  stateOfAbandoned: ((checkpointId: number) => EpochOutcome['state']) | undefined
  commitsFail = false

  get sink(): Sink<number> {
    return {
      type: 'coordinated',
      coordinator: ({ ledger }) => ({
        examine: async (epochs) => epochs.map((epoch) => this.#examine(epoch)),
        abandon: async (epochs) => {
          this.stateOf = this.stateOfAbandoned ?? this.stateOf
          this.calls.push('abandon')
          return epochs.map((epoch) => this.#examine(epoch))
        },
        settle: (epochs, lineage) => this.#settle(epochs, lineage, ledger),
        close: async () => void this.calls.push('closed'),
      }),
      open: ({ restored, lineage }) => {
        assert.deepEqual(restored, [], 'the coordinator has committed them')
        assert.equal(lineage, this.lineages.at(-1))
        let epoch: number[] = []
        return {
          write: (value) => void epoch.push(value as number),
          prepare: () => {
            const committable = epoch
            epoch = []
            // completed later, as a sink does that learns where its records are only when they are
            return { committable, durable: Promise.resolve().then(() => void committable.push(0)) }
          },
          commit: async ({ data }) => {
            if (this.commitsFail) throw new Error('the commit fails')
            this.visible.push(...(data as number[]))
          },
        }
      },
    }
  }

  #examine({ subtaskIndex, checkpointId }: RestoredEpoch): EpochOutcome {
    this.calls.push(`examine ${checkpointId}`)
    return { subtaskIndex, checkpointId, state: this.stateOf(checkpointId), detail: 'there' }
  }

  async #settle(
    epochs: readonly RestoredEpoch[],
    lineage: string,
    ledger: SinkLedger,
  ): Promise<void> {
    this.calls.push(`settle ${epochs.map(({ checkpointId }) => checkpointId).join(',')}`)
    for (const { data } of epochs) this.visible.push(...(data as number[]))
    this.lineages.push(lineage)
    this.owned.push(await ledger.owns(lineage))
    await ledger.add({ lineage })
  }
}

async function directoryOf(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-coordinated-'))
  t.after(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }))
  return directory
}

function run(sink: CoordinatedSink, directory: string, options: RunOptions = {}): RunningJob {
  const definition = job('coordinated', (env) => {
    const input = env.from('input', fromArray([1, 2, 3]))
    input.to('out', sink.sink)
  })
  return start(definition, {
    checkpoints: { directory, interval: '1h', retainCount: 3 },
    restart: { kind: 'none' },
    ...options,
  })
}

/** Leaves a last checkpoint behind whose output was not committed. */
async function unconfirmed(sink: CoordinatedSink, directory: string): Promise<void> {
  sink.commitsFail = true
  await assert.rejects(run(sink, directory).finished)
  sink.commitsFail = false
  sink.calls.length = 0
}

test('unconfirmed epochs are examined and settled before the job runs, and the line goes on', async (t) => {
  const directory = await directoryOf(t)
  const sink = new CoordinatedSink()
  await unconfirmed(sink, directory)

  await run(sink, directory).finished

  assert.deepEqual(sink.calls, ['examine 1', 'settle 1', 'closed'])
  assert.deepEqual(sink.visible.slice(0, 4), [1, 2, 3, 0], 'with what was added to it later')
  assert.equal(new Set(sink.lineages).size, 1)
  assert.deepEqual(sink.owned, [true, true])
})

test('lost output with nothing before it stops the job, until its loss is accepted', async (t) => {
  const directory = await directoryOf(t)
  const sink = new CoordinatedSink()
  await unconfirmed(sink, directory)
  sink.stateOf = () => 'lost'

  await assert.rejects(run(sink, directory).finished, {
    code: 'OUTPUT_LOST',
    message: /out#0, checkpoint 1: lost; there/,
  })
  await run(sink, directory, { onPartialCommit: 'accept-loss' }).finished

  assert.deepEqual(sink.calls, ['examine 1', 'closed', 'examine 1', 'settle ', 'closed'])
  assert.equal(sink.visible.includes(1), false)
})

test('lost output that nobody has seen sends the job back to the checkpoint before, on a new line', async (t) => {
  const directory = await directoryOf(t)
  const sink = new CoordinatedSink()
  // a first checkpoint that is confirmed, then one that is not
  await run(sink, directory).finished
  await unconfirmed(sink, directory)
  sink.stateOf = (checkpointId) => (checkpointId === 2 ? 'lost' : 'committed')

  await run(sink, directory).finished

  // the second names nothing of the first, so that was confirmed
  assert.deepEqual(sink.calls.slice(0, 4), ['examine 2', 'abandon', 'examine 2', 'settle '])
  assert.equal(new Set(sink.lineages).size, 2)
})

test('a job that was taken back to a savepoint never goes back to what it was taken back from', async (t) => {
  const directory = await directoryOf(t)
  const sink = new CoordinatedSink()
  await run(sink, directory).finished
  sink.commitsFail = true
  const from = join(directory, 'manifests', '00000001')
  await assert.rejects(run(sink, directory, { from }).finished)
  sink.commitsFail = false
  sink.stateOf = (checkpointId) => (checkpointId === 2 ? 'lost' : 'committed')

  await assert.rejects(run(sink, directory).finished, { code: 'OUTPUT_LOST' })
})

test('lost output is not written again where the rest turns out to be committed in the end', async (t) => {
  const directory = await directoryOf(t)
  const sink = new CoordinatedSink()
  await run(sink, directory).finished
  await unconfirmed(sink, directory)
  sink.stateOf = () => 'lost'
  sink.stateOfAbandoned = () => 'committed'

  await run(sink, directory).finished

  assert.deepEqual(sink.calls, ['examine 2', 'abandon', 'examine 2', 'settle 2', 'closed'])
})

test('a copied directory begins a new line; one that is claimed goes on', async (t) => {
  const directory = await directoryOf(t)
  const sink = new CoordinatedSink()
  await run(sink, directory).finished
  const copy = await directoryOf(t)
  await cp(directory, copy, { recursive: true })
  const claimed = await directoryOf(t)
  await cp(directory, claimed, { recursive: true })

  await run(sink, copy).finished
  await run(sink, claimed, { claim: true }).finished

  const [original, ofCopy, ofClaimed] = sink.lineages
  assert.notEqual(ofCopy, original)
  assert.equal(ofClaimed, original)
})
