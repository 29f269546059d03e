/** A job between two topics whose process is killed with SIGKILL: the at-least-once sink loses nothing. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Random } from '../../simulation/random.ts'
import type { KafkaJobParams } from '../../support/counting/kafka-job.ts'
import { Life } from '../../support/counting/life.ts'
import type { CountRow } from '../../support/counting/records.ts'
import { newestCheckpoint } from '../../support/counting/traces.ts'
import { sharedKafka, skipWithoutKafka } from '../../support/kafka/start-kafka.ts'
import { closeSourceRuns, readValues } from '../../support/kafka/source-run.ts'
import { append, freshTopic } from '../../support/kafka/topics.ts'

const RECORDS = 30_000
const PARTITIONS = 3
const KEYS = 50
const KILLS = 4
const DEADLINE_MS = 60_000

const module = new URL(
  `../../support/counting/kafka-job${extname(import.meta.url)}`,
  import.meta.url,
)

test(
  'nothing is lost from a topic to a topic when the process is killed',
  { skip: skipWithoutKafka(), timeout: 240_000 },
  async (t) => {
    const seed = Number(process.env['MILLRACE_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
    t.diagnostic(`seed ${seed}`)
    const random = new Random(seed)
    const { bootstrap } = await sharedKafka()
    const [from, to] = [await freshTopic(bootstrap, PARTITIONS), await freshTopic(bootstrap, 2)]
    const keyOf = (id: number): string => `k${(Math.imul(id, 0x9e3779b1) >>> 8) % KEYS}`
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const values: string[] = []
      for (let id = partition; id < RECORDS; id += PARTITIONS) {
        values.push(JSON.stringify({ id, key: keyOf(id) }))
      }
      await append(bootstrap, from, values, partition)
    }
    const directory = await mkdtemp(join(tmpdir(), 'millrace-kafka-kills-'))
    const [checkpoints, temporary] = [join(directory, 'checkpoints'), join(directory, 'temporary')]
    await mkdir(temporary)
    t.after(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }))
    t.after(closeSourceRuns)

    const run = (pace?: KafkaJobParams['pace']): Life => {
      const life = new Life(
        {
          module: module.href,
          params: { bootstrap, from, to, ...(pace === undefined ? {} : { pace }) },
          options: {
            parallelism: random.between(1, 3),
            state: 'leveldb',
            checkpoints: { directory: checkpoints, interval: '150ms' },
          },
          threads: random.between(1, 2),
        },
        temporary,
      )
      t.after(() => life.kill())
      return life
    }
    for (let kill = 0; kill < KILLS; kill++) {
      const life = run({ recordsPerSecond: 4000, recordsMax: RECORDS / (1.3 * KILLS) })
      const before = newestCheckpoint(checkpoints)
      const endMs = performance.now() + DEADLINE_MS
      while (newestCheckpoint(checkpoints) === before) {
        assert(!life.isOver, `it ended: ${JSON.stringify(life.last)}`)
        assert(performance.now() < endMs, `no checkpoint: ${life.log.join('\n')}`)
        await sleep(2)
      }
      await sleep(random.below(250))
      await life.kill()
    }
    const last = run()
    const end = await last.end()
    assert.equal(end?.kind, 'finished', `${JSON.stringify(end)} ${last.log.join('\n')}`)

    const rows = (await readValues(bootstrap, { topics: [to], endAt: 'latest' })).map(
      (text) => JSON.parse(text) as CountRow,
    )
    const times = new Uint32Array(RECORDS)
    for (const { id, key } of rows) {
      assert.equal(key, keyOf(id))
      times[id] = (times[id] as number) + 1
    }
    const missing = [...times.keys()].filter((id) => times[id] === 0)
    assert.deepEqual(missing, [], 'nothing is lost')
    t.diagnostic(`${rows.length - RECORDS} of ${RECORDS} records came again`)
    // the state is exact all the same: every count of a key is among its rows
    const counts = new Map<string, Set<number>>()
    for (const { key, count } of rows) {
      counts.set(key, (counts.get(key) ?? new Set()).add(count))
    }
    for (const [key, seen] of counts) {
      const total = [...times.keys()].filter((id) => keyOf(id) === key).length
      assert.equal(Math.max(...seen), total, key)
      assert.equal(seen.size, total, key)
    }
  },
)
