/** An owner that stood still while another took over does no harm when it goes on, wherever it stood. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CheckpointDirectory } from '../../../../src/checkpoint/storage/checkpoint-directory.ts'
import type { FileSystem } from '../../../../src/checkpoint/storage/file-system.ts'
import type { OwnerLock } from '../../../../src/checkpoint/storage/owner-lock.ts'
import { EngineError } from '../../../../src/core/errors.ts'
import type { Fence } from '../../../../src/core/ids.ts'
import { Random } from '../../../simulation/random.ts'
import { SimulatedDisk } from '../../../simulation/simulated-disk.ts'

const ROOT = '/checkpoints'

/** A disk, and a lock on it that anybody can take: only the fence tells owners apart. */
class Place {
  readonly files: FileSystem
  /** Called after each operation of the disk, with its name: where a process may come to stand still. */
  after: (operation: string) => Promise<void> = async () => {}
  #fence = 0

  constructor() {
    this.files = new SimulatedDisk(new Random(1)).view(async (name, operation) => {
      const result = operation()
      await this.after(name)
      return result
    })
  }

  open(locked: () => Promise<void> = async () => {}): Promise<CheckpointDirectory> {
    return CheckpointDirectory.open({
      files: this.files,
      root: ROOT,
      jobName: 'job',
      lock: async (): Promise<OwnerLock> => {
        const fence = ++this.#fence as Fence
        await locked()
        return {
          fence,
          check: async () => {
            if (this.#fence !== fence) throw new EngineError('FENCED', 'another has come')
          },
          reserve: async () => {},
          lastReserved: async () => 0,
          close: async () => {},
        }
      },
    })
  }

  /** Data of a checkpoint that has no manifest yet. */
  async writeData(name: string): Promise<void> {
    await this.files.makeDirectory(`${ROOT}/data/${name}`)
    await this.files.write(`${ROOT}/data/${name}/table`, Buffer.from('state'))
  }
}

test('a start sweeps what nobody owns any more', async () => {
  const place = new Place()
  await (await place.open()).close()
  await place.writeData('00000001-1-a')
  await place.files.write(`${ROOT}/manifests/00000001.part`, Buffer.from('half'))

  const owner = await place.open()
  await owner.sweep(new Set())

  assert.deepEqual(await place.files.list(`${ROOT}/data`), [])
  assert.deepEqual(await place.files.list(`${ROOT}/manifests`), [])
})

test('one that stood still before its sweep removes no data of its successor', async () => {
  const place = new Place()
  const stopped = await place.open()
  await place.open()
  await place.writeData('00000001-2-a')

  await assert.rejects(stopped.sweep(new Set()), { code: 'FENCED' })

  assert.deepEqual(await place.files.list(`${ROOT}/data`), ['00000001-2-a'])
})

test('nor does one that stood still in the middle of its sweep', async () => {
  const place = new Place()
  const stopped = await place.open()
  await place.writeData('00000001-1-a')
  place.after = async (operation) => {
    if (operation !== `remove ${ROOT}/data/00000001-1-a`) return
    place.after = async () => {}
    await place.open()
    await place.writeData('00000002-2-a')
  }

  await stopped.sweep(new Set())

  assert.deepEqual(await place.files.list(`${ROOT}/data`), ['00000002-2-a'])
})

test('one that stood still when it had just taken the lock leaves its successor its working files', async () => {
  const place = new Place()
  let successor: CheckpointDirectory | undefined

  const stopped = await place.open(async () => {
    successor = await place.open()
    await place.files.write(`${successor.workDirectory}/state`, Buffer.from('state'))
  })

  assert.notEqual(stopped.workDirectory, successor?.workDirectory)
  assert.deepEqual(await place.files.list(successor?.workDirectory ?? ''), ['state'])
})

test('one that stood still publishes nothing', async () => {
  const place = new Place()
  const stopped = await place.open()
  await place.open()
  const manifest = {
    kind: 'checkpoint',
    jobName: 'job',
    lineage: 'a',
    checkpointId: 1,
    completedAtMs: 0,
    maxParallelism: 128,
    keyHash: '',
    isSelfContained: true,
    operators: [],
  } as const

  await assert.rejects(stopped.publish(manifest, '1-a'), { code: 'FENCED' })

  assert.deepEqual(await stopped.list(), [])
})
