/** A source at full speed before a sink that takes 20,000 records a second, in two worker threads, with checkpoints. */
import { extname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isMainThread } from 'node:worker_threads'
import { generate, job, start, type } from 'millrace'
import type { Job, Sink } from 'millrace'
import { Directory } from '../running-jobs.ts'

const RECORDS_PER_SECOND = 20_000

const slowSinkJob: Job<{ written: SharedArrayBuffer }> = job(
  'slow-sink',
  { params: type<{ written: SharedArrayBuffer }>() },
  (env) => {
    env
      .from(
        'views',
        generate({
          record: (index) => ({
            page: `page ${index % 1000}`,
            index,
            note: `note ${index}`.padEnd(80),
          }),
        }),
      )
      .keyBy(({ page }) => page)
      .process('pass', { emits: type<{ note: string }>() }, ({ emit }) => ({
        onRecord: ({ note }) => emit({ note }),
      }))
      .to('slow', slowSink(env.params.written))
  },
)
export default slowSinkJob

/** All its subtasks together take so many a second. */
function slowSink(written: SharedArrayBuffer): Sink<{ note: string }> {
  const total = new BigInt64Array(written)
  return {
    type: 'slow',
    open({ clock, mailbox, parallelism }) {
      const startedMs = clock.elapsed()
      let count = 0
      let timer: NodeJS.Timeout | undefined
      return {
        write() {
          count += 1
          Atomics.add(total, 0, 1n)
        },
        hasRoom() {
          const due = ((clock.elapsed() - startedMs) * RECORDS_PER_SECOND) / parallelism / 1000
          if (count < due) return true
          timer ??= setTimeout(() => {
            timer = undefined
            mailbox.submit(() => {})
          }, 5)
          return false
        },
        close: () => clearTimeout(timer),
      }
    },
  }
}

/** As a program: runs for so many seconds, and prints how many records were written. */
async function main(seconds: number): Promise<void> {
  await using directory = await Directory.make()
  const written = new SharedArrayBuffer(8)
  await using running = start(slowSinkJob, {
    params: { written },
    parallelism: 2,
    threads: 2,
    module: new URL(`./slow-sink-job${extname(import.meta.url)}`, import.meta.url),
    checkpoints: { directory: directory.path, interval: '1s' },
    restart: { kind: 'none' },
  })
  await Promise.race([sleep(seconds * 1000), running.finished])
  const { checkpoints } = running.figures
  console.log(JSON.stringify({ written: Number(new BigInt64Array(written)[0]), checkpoints }))
}

if (isMainThread && process.argv[1]?.includes('slow-sink-job') === true) {
  await main(Number(process.argv[2]))
}
