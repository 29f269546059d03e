/** The entry point `millrace/testing`: a job under a scripted clock, one thread, nothing left to chance. */
export { runTest } from './run-test.ts'
export type { StateLeft, TestPane } from './observed-job.ts'
export type { TestOptions, TestResult, TestWatermarks } from './run-test.ts'
export { testSource } from './test-source.ts'
export type { TestRecord, TestSource } from './test-source.ts'
