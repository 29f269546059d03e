/** A query as a job: its rows counted and hashed by each subtask of the sink. */
import { job, type } from 'millrace'
import type { Job } from 'millrace'
import { rowHash } from './checksum.ts'
import { rowsOf } from './queries.ts'
import type { BenchParams } from './queries.ts'
import { checksumSink } from './checksum-sink.ts'

const benchmark: Job<BenchParams> = job('benchmark', { params: type<BenchParams>() }, (env) => {
  rowsOf(env).map(rowHash).to('rows', checksumSink())
})

export default benchmark
