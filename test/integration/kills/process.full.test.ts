/** The long form of process.test.ts. */
import { describe } from 'node:test'
import { killTest } from '../../support/counting/kill-test.ts'

describe('a job from files to files whose process is killed, at length', () => {
  killTest({ state: 'memory', killCount: 20, recordCount: 300_000 })
  killTest({ state: 'leveldb', killCount: 60, recordCount: 600_000 })
})
