/** A bit flips in a table that several checkpoints share: recovery falls back to the newest checkpoint without it. */
import assert from 'node:assert/strict'
import { open, stat } from 'node:fs/promises'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { arraySink, run, start } from 'millrace'
import type { RunOptions, RunningJob } from 'millrace'
import type { Manifest } from '../../../src/checkpoint/manifest.ts'
import { shopJob } from '../../support/jobs/shop-job.ts'
import { Directory, Log, checkpointsIn, readManifest, until } from '../../support/running-jobs.ts'

const SHOP = { count: 40_000, recordsPerSecond: 8000 }

test(
  'recovery takes the newest checkpoint that verifies whole, and says so',
  { timeout: 300_000 },
  async () => {
    await using directory = await Directory.make()
    const root = directory.at('checkpoints')
    const rows: string[] = []
    {
      await using running = begin(rows, root, {})
      await until('two checkpoints share a table that an older one has not', async () => {
        await sleep(100)
        if (running.status === 'running') await running.checkpoint()
        return sharedTable(await checkpoints(root)) !== undefined
      })
      assert.equal(running.status, 'running')
    }
    const before = await checkpoints(root)
    const damaged = sharedTable(before)
    assert.ok(damaged !== undefined)
    const hit = before.filter(({ tables }) => tables.has(damaged.inode)).map(idOf)
    const whole = before.filter(({ tables }) => !tables.has(damaged.inode)).map(idOf)
    await flipBit(damaged.location)
    const log = new Log()

    const resumed = begin(rows, root, { logger: log })
    await resumed.finished

    assert.ok(hit.length >= 2)
    assert.equal(resumed.restored?.checkpointId, Math.max(...whole))
    for (const id of hit.filter((each) => each > Math.max(...whole))) {
      assert.ok(
        log.has(`Checkpoint ${id} is passed over`),
        `no word of ${id}: ${log.lines.join('\n')}`,
      )
    }
    const newest = await readManifest((await checkpointsIn(root)).at(-1) ?? '')
    assert.notEqual(newest.lineage, before[0]?.manifest.lineage, 'a line of its own')
    assert.ok(newest.checkpointId > Math.max(...hit))
    assert.ok(newest.isSelfContained, 'the first after it shares nothing with those before')
    // what the damaged checkpoints had committed is put out again; nothing else is, and nothing is missing
    const expected: string[] = []
    await run(shopJob({ count: SHOP.count }, arraySink(expected)))
    assert.deepEqual([...new Set(rows)].sort(), expected.sort())
  },
)

function begin(rows: string[], root: string, options: RunOptions): RunningJob {
  return start(shopJob(SHOP, arraySink(rows)), {
    ...options,
    parallelism: 2,
    state: 'leveldb',
    // small tables, so that there soon are some
    leveldb: { writeBufferBytes: 65_536, dirtyBytesMax: 20_000 },
    checkpoints: { directory: root, interval: '1h', retainCount: 100, selfContainedEvery: 100 },
  })
}

interface Checkpoint {
  readonly manifest: Manifest
  /** Its table files, by what they are on disk whatever their names: where they lie. */
  readonly tables: ReadonlyMap<number, string>
}

/** The checkpoints there are, oldest first. */
async function checkpoints(root: string): Promise<Checkpoint[]> {
  const all: Checkpoint[] = []
  for (const path of await checkpointsIn(root)) {
    const manifest = await readManifest(path)
    const tables = new Map<number, string>()
    for (const { subtasks } of manifest.operators) {
      for (const { location, isImmutable } of subtasks.flatMap(({ keyed }) => keyed?.files ?? [])) {
        if (isImmutable) tables.set((await stat(location)).ino, location)
      }
    }
    all.push({ manifest, tables })
  }
  return all
}

/** A table of the newest checkpoint and of one more, but not of all. */
function sharedTable(
  all: readonly Checkpoint[],
): { readonly inode: number; readonly location: string } | undefined {
  for (const [inode, location] of all.at(-1)?.tables ?? []) {
    const count = all.filter(({ tables }) => tables.has(inode)).length
    if (count >= 2 && count < all.length) return { inode, location }
  }
  return undefined
}

async function flipBit(path: string): Promise<void> {
  const file = await open(path, 'r+')
  try {
    const { size } = await file.stat()
    const at = Math.floor(size / 3)
    const byte = Buffer.alloc(1)
    await file.read(byte, 0, 1, at)
    byte.writeUInt8(byte.readUInt8() ^ 4)
    await file.write(byte, 0, 1, at)
  } finally {
    await file.close()
  }
}

function idOf({ manifest }: Checkpoint): number {
  return manifest.checkpointId
}
