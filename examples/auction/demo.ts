/**
 * The demo behind `npm start`: runs the three queries of demo-job.ts on worker threads with their state in LevelDB, shows what comes
 * out, and goes on where it was when it is killed and started again.
 *
 *   npm start                          without end; Ctrl-C stops it after a last checkpoint
 *   npm start -- --events 2000000      ends by itself and prints a summary
 */
import { existsSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { extname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { BroadcastChannel } from 'node:worker_threads'
import { isEngineError, start } from 'millrace'
import type { JobResult, RunningJob } from 'millrace'
import demo, { QUERIES } from './demo-job.ts'
import { DemoView, clockTime, count } from './demo-view.ts'
import type { LiveRow } from './live-rows.ts'

const USAGE = `Usage: npm start -- [options]
  --events N       end after N events (default: never)
  --rate N         at most N events per second (default: as fast as possible)
  --threads N      worker threads (default: one per core, at most 4)
  --directory DIR  where checkpoints and results go (default: ./demo-state)`

interface Settings {
  readonly events: number | undefined
  readonly rate: number | undefined
  readonly threads: number
  readonly directory: string
}

const settings = readSettings()
try {
  await main(settings)
} catch (error) {
  console.error(isEngineError(error) ? `${error.code}: ${error.message}` : error)
  process.exitCode = 1
}

async function main({ events, rate, threads, directory }: Settings): Promise<void> {
  const checkpoints = join(directory, 'checkpoints')
  const results = join(directory, 'results')
  // no checkpoints: nothing to go on from, so what an earlier run has written is of another time
  if (!existsSync(checkpoints)) rmSync(results, { recursive: true, force: true })

  const channel = `auction-demo-${process.pid}`
  const startedMs = performance.now()
  const running = start(demo, {
    params: {
      results,
      channel,
      ...(events === undefined ? {} : { events }),
      ...(rate === undefined ? {} : { eventsPerSecond: rate }),
    },
    threads,
    module: new URL(`./demo-job${extname(import.meta.url)}`, import.meta.url),
    state: 'leveldb',
    checkpoints: { directory: checkpoints, interval: '1s' },
  })
  const view = new DemoView(running)
  const port = new BroadcastChannel(channel)
  port.onmessage = (message: unknown) => view.onRow((message as { readonly data: LiveRow }).data)
  stopOnSignals(running)
  let result: JobResult
  try {
    await running.started
    tellBeginning(running, { threads, directory })
    view.begin()
    result = await running.finished
  } finally {
    view.end()
    port.close()
  }
  tellEnd(result, { seconds: (performance.now() - startedMs) / 1000, results })
  // a job that has come to its end has nothing to go on from: the next start begins anew
  if (result.status === 'finished') rmSync(checkpoints, { recursive: true, force: true })
}

function tellBeginning(
  { restored }: RunningJob,
  { threads, directory }: { readonly threads: number; readonly directory: string },
): void {
  const where = `${threads} worker thread${threads === 1 ? '' : 's'}, state in LevelDB, checkpoints and results in ${directory}`
  if (restored === undefined) {
    console.log(`begins anew: ${where}`)
    return
  }
  const taken = new Date(restored.completedAtMs).toISOString()
  console.log(
    `goes on from checkpoint ${restored.checkpointId} of ${taken}, event time ${clockTime(restored.watermarkMs)}: ${where}`,
  )
}

function tellEnd(
  result: JobResult,
  { seconds, results }: { readonly seconds: number; readonly results: string },
): void {
  console.log(
    `\n${result.status}: ${count(result.recordsRead)} events in ${seconds.toFixed(1)} s (${count(result.recordsRead / seconds)} a second), ` +
      `${result.checkpoints} checkpoints, ${result.lateRecords} late records`,
  )
  for (const query of QUERIES) {
    console.log(`  ${query}: ${count(committedRows(join(results, query)))} rows in ${results}`)
  }
  if (result.status === 'stopped') console.log('npm start goes on from here')
}

/** Rows of all files of a query; every file that can be seen is whole. */
function committedRows(directory: string): number {
  if (!existsSync(directory)) return 0
  return readdirSync(directory)
    .filter((name) => name.startsWith('part-'))
    .map((name) => readFileSync(join(directory, name), 'utf8').split('\n').length - 1)
    .reduce((total, lines) => total + lines, 0)
}

/** The first signal ends the job after a last checkpoint, a second one ends the process. */
function stopOnSignals(running: RunningJob): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      // its end is told by `finished`
      running.stop().catch(() => {})
    })
  }
}

function readSettings(): Settings {
  try {
    const { values } = parseArgs({
      options: {
        events: { type: 'string' },
        rate: { type: 'string' },
        threads: { type: 'string' },
        directory: { type: 'string', default: 'demo-state' },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.help) {
      console.log(USAGE)
      process.exit(0)
    }
    return {
      events: wholeNumber('events', values.events),
      rate: wholeNumber('rate', values.rate),
      threads: wholeNumber('threads', values.threads) ?? Math.min(4, availableParallelism()),
      directory: values.directory,
    }
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`)
    process.exit(2)
  }
}

function wholeNumber(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (/^[1-9][0-9]{0,14}$/.test(text)) return Number(text)
  throw new Error(`--${name} takes a whole number from 1, but was given '${text}'`)
}
