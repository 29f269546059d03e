import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { run } from 'millrace'
import demo, { QUERIES } from '../../examples/auction/demo-job.ts'

const EVENTS = 200_000
const DEADLINE_MS = 120_000
const script = fileURLToPath(new URL('../../examples/auction/demo.js', import.meta.url))

let base: string
let expected: Record<string, string[]>

before(async () => {
  base = mkdtempSync(join(tmpdir(), 'millrace-demo-'))
  const results = join(base, 'reference')
  await run(demo, {
    params: { events: EVENTS, results, channel: 'reference' },
    checkpoints: { directory: join(base, 'reference-checkpoints'), interval: '1h' },
  })
  expected = rowsIn(results)
})

after(() => rmSync(base, { recursive: true, force: true }))

/** The committed rows of each query. */
function rowsIn(results: string): Record<string, string[]> {
  return Object.fromEntries(
    QUERIES.map((query) => {
      const directory = join(results, query)
      const files = existsSync(directory) ? readdirSync(directory) : []
      const text = files
        .filter((name) => name.startsWith('part-'))
        .map((name) => readFileSync(join(directory, name), 'utf8'))
        .join('')
      return [query, text.split('\n').filter(Boolean).toSorted()]
    }),
  )
}

/** Starts the demo; `said` settles when it has written a text that matches. */
function startDemo(...words: string[]): {
  readonly child: ChildProcess
  readonly ended: Promise<{ readonly code: number | null; readonly output: string }>
  said(pattern: RegExp): Promise<void>
} {
  const child = spawn(process.execPath, [script, ...words], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const waiting: { readonly pattern: RegExp; readonly resolve: () => void }[] = []
  const take = (chunk: Buffer): void => {
    output += chunk.toString()
    for (const { pattern, resolve } of waiting) if (pattern.test(output)) resolve()
  }
  child.stdout.on('data', take)
  child.stderr.on('data', take)
  const timer = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS)
  const ended = new Promise<{ code: number | null; output: string }>((resolve) => {
    child.on('close', (code) => {
      clearTimeout(timer)
      resolve({ code, output })
    })
  })
  return {
    child,
    ended,
    said: (pattern) =>
      new Promise((resolve, reject) => {
        waiting.push({ pattern, resolve })
        if (pattern.test(output)) resolve()
        void ended.then(() => reject(new Error(`Ended without saying ${pattern}:\n${output}`)))
      }),
  }
}

test('ends by itself after so many events, and sums up', async () => {
  const directory = join(base, 'whole')
  const { ended } = startDemo('--events', String(EVENTS), '--directory', directory)

  const { code, output } = await ended

  assert.equal(code, 0, output)
  assert.match(output, /^begins anew: /)
  assert.match(output, /first result after [0-9.]+ s: /)
  assert.match(output, /finished: 200,000 events in /)
  assert.deepEqual(rowsIn(join(directory, 'results')), expected)
  for (const query of QUERIES) {
    assert.ok((expected[query] ?? []).length > 0, query)
    assert.ok(output.includes(`${query}: ${expected[query]?.length ?? 0} rows`), output)
  }
  assert.ok(!existsSync(join(directory, 'checkpoints')))
})

test('killed and started again it says from where it goes on, and every row is there once', async () => {
  const directory = join(base, 'killed')
  const words = ['--events', String(EVENTS), '--directory', directory]
  const first = startDemo(...words, '--rate', '40000')
  await first.said(/checkpoint [0-9]+ \(/)
  first.child.kill('SIGKILL')
  await first.ended

  const second = startDemo(...words, '--threads', '1')
  const { code, output } = await second.ended

  assert.equal(code, 0, output)
  assert.match(output, /^goes on from checkpoint [0-9]+ of .* event time /)
  assert.match(output, /finished: /)
  assert.deepEqual(rowsIn(join(directory, 'results')), expected)
})

test('SIGINT ends it after a last checkpoint, from which the next start goes on', async () => {
  const directory = join(base, 'stopped')
  const words = ['--directory', directory, '--rate', '20000']
  const first = startDemo(...words)
  await first.said(/first result/)
  first.child.kill('SIGINT')
  const { code, output } = await first.ended

  assert.equal(code, 0, output)
  assert.match(output, /stopped: .*\n(.*\n)*npm start goes on from here/)

  const second = startDemo(...words)
  await second.said(/^goes on from checkpoint /)
  second.child.kill('SIGINT')
  assert.equal((await second.ended).code, 0)
})

test('an option that is not right is told with the usage', async () => {
  const { code, output } = await startDemo('--events', 'many').ended

  assert.equal(code, 2)
  assert.match(output, /--events takes a whole number from 1, but was given 'many'/)
  assert.match(output, /Usage:/)
})
