/**
 * Every microbenchmark, one after the other, as a page:
 *
 *     bench/micro/micro [--only ring,frame-codec,…] [--ms 400] [--records 1000000] [--keys 1000000] [--out docs/benchmarks/micro]
 *
 * Each can be run by itself, too: `node dist/bench/<room>/<name>.bench.js`.
 */
import { spawnSync } from 'node:child_process'
import { extname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { machineNote, tableOf, writePage } from '../comparison/page.ts'

const BENCHES = [
  { file: 'channel/ring', title: 'Channels: the ring between two threads' },
  { file: 'channel/frame-codec', title: 'Channels: records as frames' },
  { file: 'core/value-codec', title: 'Values and keys' },
  { file: 'runtime/chain', title: 'Chains' },
  { file: 'state/key-index', title: 'Looking keys up' },
  { file: 'state/memory-store', title: 'State in memory, timers, snapshots' },
  { file: 'window/window', title: 'Windows' },
]

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    ms: { type: 'string', default: '400' },
    records: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '5' },
    keys: { type: 'string', default: '1000000' },
    out: { type: 'string', default: 'docs/benchmarks/micro' },
  },
})
const only = values.only?.split(',')
const lines = [
  '# Microbenchmarks',
  '',
  `- medians of runs of ${values.ms} ms; chains and windows: processor time of a job in one thread, the least of ${values.rounds} runs of ${Number(values.records).toLocaleString('en')} records`,
  `- ${machineNote()}`,
]
for (const { file, title } of BENCHES) {
  if (only?.includes(file.slice(file.indexOf('/') + 1)) === false) continue
  const program = fileURLToPath(
    new URL(`../${file}.bench${extname(import.meta.url)}`, import.meta.url),
  )
  const args = ['ms', 'records', 'rounds', 'keys'] as const
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [program, ...args.map((name) => `${name}=${values[name]}`)],
    { encoding: 'utf8' },
  )
  if (status !== 0) throw new Error(`${file} ended with ${status}: ${stderr}`)
  process.stderr.write(stdout)
  const rows = stdout.split('\n').flatMap((line) => {
    const [, name, ns, unit] = /^(.+?) +([\d.]+) ns (.+)$/.exec(line) ?? []
    return name === undefined ? [] : [[name, ns ?? '', unit ?? '']]
  })
  lines.push('', `## ${title}`, '', ...tableOf(['what', 'ns', 'for'], rows))
  writePage(resolve(values.out), { md: [...lines, ''].join('\n') })
}
