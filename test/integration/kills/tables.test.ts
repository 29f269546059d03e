/**
 * Aggregates over sessions that take back what they said, in a job that is killed again and again: the tables are those of a
 * recomputation. The long form: tables.full.test.ts.
 */
import { describe } from 'node:test'
import { tablesKillTest } from '../../support/tables/kill-test.ts'

const small = { visitCount: 60_000, userCount: 300, intervalMs: 300, recordsPerSecond: 30_000 }

describe('tables over retracting sessions', { concurrency: 2 }, () => {
  tablesKillTest({ ...small, state: 'memory', guarantee: 'exactly-once', killCount: 4 })
  tablesKillTest({ ...small, state: 'leveldb', guarantee: 'at-least-once', killCount: 4 })
})
