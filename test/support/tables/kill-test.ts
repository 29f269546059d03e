/**
 * Kills the job of tables after checkpoints, lets it end, and compares its tables with a recomputation. MILLRACE_SEED=n repeats a run's
 * choices.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Change } from '../../../src/index.ts'
import { Random } from '../../simulation/random.ts'
import { Life } from '../counting/life.ts'
import { visibleFiles } from '../counting/records.ts'
import { newestCheckpoint } from '../counting/traces.ts'
import type { TablesParams } from './job.ts'
import { ChangedTable, expectedTables } from './visits.ts'
import type { VisitSize } from './visits.ts'

export interface TablesKillOptions extends VisitSize {
  readonly state: 'memory' | 'leveldb'
  readonly killCount: number
  readonly guarantee: 'exactly-once' | 'at-least-once'
  readonly intervalMs: number
  readonly recordsPerSecond: number
}

/** How long a life may take to its next checkpoint, on a machine that is busy. */
const DEADLINE_MS = 90_000
const module = new URL(`./job${extname(import.meta.url)}`, import.meta.url).href

export function tablesKillTest(options: TablesKillOptions): void {
  const { state, visitCount, killCount, guarantee } = options
  const name = `${state}, ${guarantee}, ${visitCount} visits, killed ${killCount} times`
  test(`${name}: the tables are those of a recomputation`, async (t) => {
    const seed = Number(process.env['MILLRACE_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
    t.diagnostic(`seed ${seed}`)
    const directory = await mkdtemp(join(tmpdir(), 'millrace-tables-'))
    t.after(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }))
    await mkdir(join(directory, 'temporary'))

    await killAndEnd(options, directory, new Random(seed))

    const table = new ChangedTable()
    const changeCount =
      readChanges(join(directory, 'buckets'), table) +
      readChanges(join(directory, 'longest'), table)
    t.diagnostic(`${changeCount} changes`)
    assert.deepEqual(table.lines(), expectedTables(options))
  })
}

async function killAndEnd(
  options: TablesKillOptions,
  directory: string,
  random: Random,
): Promise<void> {
  const checkpoints = join(directory, 'checkpoints')
  const { killCount, visitCount, userCount, intervalMs, recordsPerSecond } = options
  const start = (isLast: boolean): Life => {
    const params: TablesParams = {
      size: { visitCount, userCount },
      buckets: join(directory, 'buckets'),
      longest: join(directory, 'longest'),
      ...(isLast
        ? {}
        : {
            pace: { recordsPerSecond, recordsMax: Math.floor(visitCount / (1.3 * killCount)) },
          }),
    }
    return new Life(
      {
        module,
        params: { ...params },
        options: {
          parallelism: 2,
          state: options.state,
          checkpoints: {
            directory: checkpoints,
            interval: `${intervalMs}ms`,
            guarantee: options.guarantee,
          },
        },
        threads: random.between(0, 2),
      },
      join(directory, 'temporary'),
    )
  }
  for (let kills = 0; kills < killCount; kills++) {
    const before = newestCheckpoint(checkpoints)
    const life = start(false)
    const deadline = performance.now() + DEADLINE_MS
    while (newestCheckpoint(checkpoints) === before) {
      assert(!life.isOver, `It ended: ${JSON.stringify(life.last)} ${life.log.join('\n')}`)
      assert(performance.now() < deadline, `No checkpoint came: ${life.log.join('\n')}`)
      await sleep(2)
    }
    await sleep(random.between(0, intervalMs))
    await life.kill()
  }
  const last = start(true)
  const end = await last.end()
  assert.equal(end?.kind, 'finished', `${JSON.stringify(end)} ${last.log.join('\n')}`)
  assert.equal(end.lateRecords, 0)
}

function readChanges(directory: string, table: ChangedTable): number {
  let changeCount = 0
  for (const file of visibleFiles(directory)) {
    for (const line of readFileSync(join(directory, file), 'utf8').split('\n')) {
      if (line === '') continue
      const change = JSON.parse(line) as Change<string>
      if (change.kind === 'update') table.add(change.previous, -1)
      table.add(change.value, change.kind === 'retract' ? -1 : 1)
      changeCount += 1
    }
  }
  return changeCount
}
