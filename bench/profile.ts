/**
 * Where the time of a query goes: `bench/profile QUERY [OPTIONS of bench/run] [--top N]`, or `bench/profile kafka COMMAND [OPTIONS of
 * bench/kafka/run] [--top N]`. Runs it with V8's sampling profiler in every thread and prints, for each, the functions with the most time of their own. Profiles are kept and named for a closer look
 * (Chrome's developer tools open them).
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

interface Profile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: {
      readonly functionName: string
      readonly url: string
      readonly lineNumber: number
    }
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

/** Functions printed of each thread. */
const TOP_DEFAULT = 25
const SAMPLE_EVERY_US = 500
/** Threads that did less are not worth a table. */
const THREAD_MS_MIN = 100

const args = process.argv.slice(2)
const topAt = args.indexOf('--top')
const top = topAt < 0 ? TOP_DEFAULT : Number(args.splice(topAt, 2)[1])
const directory = mkdtempSync(join(tmpdir(), 'millrace-profile-'))
const room = args[0] === 'kafka' ? (args.shift() as string) : 'nexmark'
const run = fileURLToPath(new URL(`./${room}/run${extname(import.meta.url)}`, import.meta.url))
const { status } = spawnSync(
  process.execPath,
  [
    '--cpu-prof',
    `--cpu-prof-interval=${SAMPLE_EVERY_US}`,
    `--cpu-prof-dir=${directory}`,
    run,
    ...args,
  ],
  { stdio: 'inherit' },
)
for (const name of readdirSync(directory).sort()) {
  const file = join(directory, name)
  print(file, JSON.parse(readFileSync(file, 'utf8')) as Profile)
}
process.exitCode = status ?? 1

function print(file: string, { nodes, samples, timeDeltas }: Profile): void {
  const nodeOf = new Map(nodes.map((node) => [node.id, node]))
  const times = new Map<string, number>()
  let busyUs = 0
  samples.forEach((id, index) => {
    const { functionName, url, lineNumber } = nodeOf.get(id)?.callFrame ?? {
      functionName: '',
      url: '',
      lineNumber: 0,
    }
    if (functionName === '(idle)' || functionName === '(program)') return
    const place = url.replace(/^.*\/dist\//, '')
    const title = `${functionName || '(anonymous)'} ${place}${place === '' ? '' : `:${lineNumber + 1}`}`
    const us = timeDeltas[index] ?? 0
    times.set(title, (times.get(title) ?? 0) + us)
    busyUs += us
  })
  if (busyUs < THREAD_MS_MIN * 1000) return
  console.log(`\n${file}: ${(busyUs / 1000).toFixed(0)} ms busy`)
  const sorted = [...times].sort(([, a], [, b]) => b - a).slice(0, top)
  for (const [title, us] of sorted) {
    console.log(
      `${((us * 100) / busyUs).toFixed(1).padStart(6)} % ${(us / 1000).toFixed(0).padStart(7)} ms  ${title}`,
    )
  }
}
