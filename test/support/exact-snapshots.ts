/** Takes checkpoints while every key changes all the time, restores each and compares it with what its position says. */
import assert from 'node:assert/strict'
import { extname } from 'node:path'
import { arraySink, run, start } from 'millrace'
import type { RunOptions } from 'millrace'
import type { Manifest } from '../../src/checkpoint/manifest.ts'
import { decodeItems } from '../../src/checkpoint/manifest.ts'
import { subtaskOf, keyGroupOf } from '../../src/core/key-group.ts'
import { hashKey } from '../../src/core/key-hash.ts'
import type { SplitState } from '../../src/runtime/source-head.ts'
import ledgerJob, { ledgerRows, readingJob } from './jobs/ledger-job.ts'
import type { SplitAt } from './jobs/ledger-job.ts'
import { Directory, checkpointsIn, readManifest, until } from './running-jobs.ts'

const MODULE = new URL(`./jobs/ledger-job${extname(import.meta.url)}`, import.meta.url)

export interface ExactSnapshots {
  readonly options: Pick<RunOptions, 'state' | 'leveldb'>
  readonly keyCount: number
  readonly recordsPerSecond?: number
  readonly checkpointCount: number
  readonly intervalMs: number
  /** Worker threads; 0: in the calling thread. */
  readonly threads: 0 | 2
}

export async function exactSnapshots(setting: ExactSnapshots): Promise<void> {
  const { options, keyCount, recordsPerSecond, checkpointCount, intervalMs, threads } = setting
  await using directory = await Directory.make()
  const root = directory.at('checkpoints')
  {
    await using running = start(ledgerJob, {
      ...options,
      params: { keyCount, ...(recordsPerSecond === undefined ? {} : { recordsPerSecond }) },
      parallelism: 2,
      ...(threads === 0 ? {} : { threads, module: MODULE }),
      checkpoints: {
        directory: root,
        interval: `${intervalMs}ms`,
        retainCount: 1_000_000,
        selfContainedEvery: 4,
      },
    })
    await Promise.race([
      until('there are checkpoints enough', async () => {
        return (await checkpointsIn(root)).length >= checkpointCount
      }),
      running.finished,
    ])
  }

  const paths = await checkpointsIn(root)
  const counts = new Set<number>()
  for (const [number, path] of paths.entries()) {
    const manifest = await readManifest(path)
    const splits = splitsOf(manifest)
    const expected = ledgerRows({ keyCount }, splits, watermarksOf(manifest))
    const rows: string[] = []

    await run(readingJob({ keyCount }, arraySink(rows)), {
      state: options.state ?? 'memory',
      from: path,
      allowNonRestoredState: true,
      parallelism: 1 + (number % 3),
    })

    assert.deepEqual(rows.sort(), expected.sort(), `checkpoint ${manifest.checkpointId}`)
    counts.add(splits.reduce((sum, { position, step }) => sum + Math.floor(position / step), 0))
  }
  assert.ok(paths.length >= checkpointCount)
  assert.ok(counts.size > checkpointCount / 2, 'the state went on changing between them')
}

function splitsOf(manifest: Manifest): SplitAt[] {
  const source = manifest.operators.find(({ uid }) => uid === 'entries')
  return (source?.subtasks ?? []).flatMap(({ items }) =>
    (decodeItems(items) as readonly SplitState[]).map(({ data, position }) => ({
      ...(data as { readonly first: number; readonly step: number }),
      position: position as number,
    })),
  )
}

/** By key: the watermark of the subtask that had it. */
function watermarksOf(manifest: Manifest): (key: string) => number {
  const { maxParallelism } = manifest
  const keep = manifest.operators.find(({ uid }) => uid === 'keep')
  return (key) => {
    const subtask = subtaskOf(keyGroupOf(hashKey(key), maxParallelism), {
      parallelism: keep?.parallelism ?? 0,
      maxParallelism,
    })
    return keep?.subtasks.find(({ subtaskIndex }) => subtaskIndex === subtask)?.watermarkMs ?? NaN
  }
}
