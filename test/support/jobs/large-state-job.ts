/** Values of 200 bytes that cannot be compressed, of many keys, written and then changed in an order without rhyme, on leveldb. */
import { randomFillSync } from 'node:crypto'
import { extname } from 'node:path'
import { isMainThread } from 'node:worker_threads'
import { generate, job, run, type, valueState } from 'millrace'
import type { Job } from 'millrace'
import { Directory } from '../running-jobs.ts'

export interface LargeState {
  readonly keyCount: number
  /** After each key was written once. */
  readonly updateCount: number
  readonly found: SharedArrayBuffer
}

/** Half the default: beside its caches a subtask has a heap, where what was dropped waits to be collected. */
const CACHE_BYTES_MAX = 32 * 1024 * 1024

const VALUE_BYTES = 200
/** Prime, so that multiples of it come to every key before one comes twice. */
const STRIDE = 15_485_863

const largeStateJob: Job<LargeState> = job('large-state', { params: type<LargeState>() }, (env) => {
  const { keyCount, updateCount, found } = env.params
  const noise = randomFillSync(new Uint8Array(1 << 20))
  const foundCount = new BigInt64Array(found)
  env
    .from(
      'numbers',
      generate({ count: keyCount + updateCount, record: (index) => (index * STRIDE) % keyCount }),
    )
    .keyBy((number) => number)
    .process(
      'values',
      { emits: type<never>(), state: { value: valueState<Uint8Array>() } },
      ({ state }) => {
        let at = 0
        return {
          onRecord() {
            const before = state.value.get()
            if (before !== undefined) Atomics.add(foundCount, 0, BigInt(before.length))
            at = (at + 7919) % (noise.length - VALUE_BYTES)
            state.value.set(noise.slice(at, at + VALUE_BYTES))
          },
        }
      },
    )
    .to('nowhere', { type: 'none', open: () => ({ write() {} }) })
})
export default largeStateJob

/** As a program: prints the bytes that updates found, and the seconds. */
async function main(keyCount: number, updateCount: number): Promise<void> {
  await using directory = await Directory.make()
  const found = new SharedArrayBuffer(8)
  const startedMs = performance.now()
  const { checkpoints } = await run(largeStateJob, {
    params: { keyCount, updateCount, found },
    parallelism: 2,
    threads: 2,
    module: new URL(`./large-state-job${extname(import.meta.url)}`, import.meta.url),
    state: 'leveldb',
    leveldb: { cacheBytesMax: CACHE_BYTES_MAX },
    checkpoints: { directory: directory.path, interval: '30s' },
    restart: { kind: 'none' },
  })
  const seconds = Math.round((performance.now() - startedMs) / 1000)
  console.log(
    JSON.stringify({ foundBytes: Number(new BigInt64Array(found)[0]), checkpoints, seconds }),
  )
}

if (isMainThread && process.argv[1]?.includes('large-state-job') === true) {
  await main(Number(process.argv[2]), Number(process.argv[3]))
}
