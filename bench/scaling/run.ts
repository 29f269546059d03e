/**
 * One point of a curve: `bench/scaling/run AXIS SIZE [--records N] [--warm-up N] [--state heap|disk] [--parallelism P] [--threads T]`; axes:
 * keys, text-keys, slides, chain, subtasks (job.ts). Prints one JSON object as its last line: processor time of the process for each
 * record after the warm-up.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { start } from 'millrace'
import job, { AXES } from './job.ts'
import type { Axis } from './job.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    records: { type: 'string', default: '2000000' },
    'warm-up': { type: 'string', default: '1000000' },
    state: { type: 'string', default: 'heap' },
    parallelism: { type: 'string', default: '1' },
    threads: { type: 'string' },
  },
})
const [axis, size = '1'] = positionals
if (!AXES.includes(axis as Axis)) {
  console.error(`bench/scaling/run: give an axis: ${AXES.join(', ')}`)
  process.exit(2)
}
const records = Number(values.records)
const parallelism = Number(values.parallelism)
const directory = mkdtempSync(join(tmpdir(), 'millrace-scaling-'))
const mark = join(directory, 'mark')
try {
  await start(job, {
    params: {
      axis: axis as Axis,
      size: Number(size),
      warmUp: Number(values['warm-up']),
      records,
      mark,
    },
    parallelism,
    threads: Number(values.threads ?? parallelism),
    module: new URL(`./job${extname(import.meta.url)}`, import.meta.url),
    state: values.state === 'disk' ? 'leveldb' : 'memory',
  }).finished
  const { user, system } = process.cpuUsage()
  const endMs = Date.now()
  // the subtask that was first
  const [cpuUs = NaN, startMs = NaN] = (readFileSync(mark, 'utf8').split('\n')[0] ?? '')
    .split(' ')
    .map(Number)
  console.log(
    JSON.stringify({
      axis,
      size: Number(size),
      state: values.state,
      parallelism,
      threads: Number(values.threads ?? parallelism),
      records,
      cpuNsPerRecord: Math.round(((user + system - cpuUs) * 1000) / records),
      wallNsPerRecord: Math.round(((endMs - startMs) * 1e6) / records),
      maxRssMb: Math.round(process.resourceUsage().maxRSS / 1024),
    }),
  )
} finally {
  rmSync(directory, { recursive: true, force: true })
}
