/** The long form of tables.test.ts. */
import { describe } from 'node:test'
import { tablesKillTest } from '../../support/tables/kill-test.ts'

const large = {
  visitCount: 1_000_000,
  userCount: 3000,
  intervalMs: 1000,
  recordsPerSecond: 100_000,
}

describe('tables over retracting sessions, at length', () => {
  tablesKillTest({ ...large, state: 'memory', guarantee: 'exactly-once', killCount: 8 })
  tablesKillTest({ ...large, state: 'leveldb', guarantee: 'exactly-once', killCount: 8 })
})
