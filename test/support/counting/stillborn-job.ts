/** A job whose module ends every worker that loads it. */
import { isMainThread } from 'node:worker_threads'
import { generate, job, printSink } from '../../../src/index.ts'
import type { Job } from '../../../src/index.ts'

if (!isMainThread) process.exit(7)

const stillborn: Job = job('stillborn', (env) => {
  env.from('numbers', generate({ record: (index) => index })).to('print', printSink())
})

export default stillborn
