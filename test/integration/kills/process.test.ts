/**
 * A job that is killed with SIGKILL again and again, at any moment, and started again with another parallelism, gives exactly the
 * output of a run that nothing happened to. The long form: process.full.test.ts.
 */
import { describe } from 'node:test'
import { killTest } from '../../support/counting/kill-test.ts'

describe('a job from files to files whose process is killed', { concurrency: 2 }, () => {
  killTest({ state: 'leveldb', killCount: 20, recordCount: 300_000 })
  killTest({ state: 'memory', killCount: 8, recordCount: 100_000 })
})
