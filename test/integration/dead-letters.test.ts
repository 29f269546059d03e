/** Lines that cannot be decoded, in whole jobs. */
import assert from 'node:assert/strict'
import { readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { arraySink, deadLetterJson, fromArray, job, json, run } from 'millrace'
import type { DeadLetter } from 'millrace'
import { fileSink, fileSource } from 'millrace/files'
import { Directory, Log } from '../support/running-jobs.ts'

/** JSON of numbers, every seventh broken. */
async function writeLines(path: string, count: number): Promise<void> {
  const lines = Array.from({ length: count }, (_, i) => (i % 7 === 3 ? `{broken ${i}` : `${i}`))
  await writeFile(path, lines.join('\n'))
}

const isBroken = (i: number): boolean => i % 7 === 3
const indices = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

test('dead letters are a stream with the bytes, the reason and the place of each', async () => {
  await using directory = await Directory.make()
  await writeLines(directory.at('in.jsonl'), 1000)
  const rows: number[] = []
  const letters: DeadLetter[] = []

  await run(
    job('letters', (env) => {
      const path = directory.at('in.jsonl')
      env
        .from('in', fileSource({ path, format: json<number>(), onUndecodable: 'dead-letter' }))
        .to('rows', arraySink(rows))
      env.deadLetters.to('letters', arraySink(letters))
    }),
  )

  assert.deepEqual(
    rows,
    indices(1000).filter((i) => !isBroken(i)),
  )
  assert.deepEqual(
    letters.map(({ value }) => Buffer.from(value ?? []).toString()),
    indices(1000)
      .filter(isBroken)
      .map((i) => `{broken ${i}`),
  )
  const [first] = letters
  assert.equal(first?.operatorUid, 'in')
  assert.equal(first?.error.code, 'RECORD_UNDECODABLE')
  assert.deepEqual(first?.origin, { path: directory.at('in.jsonl'), byteOffset: 6 })
  assert.ok(Number.isFinite(first?.timestampMs))
})

test('letters and records come once each, though the job fails on the way', async () => {
  await using directory = await Directory.make()
  const count = 30_000
  await writeLines(directory.at('in.jsonl'), count)
  const nobody = new Int32Array(new SharedArrayBuffer(4))
  let hasFailed = false
  const failing = job('failing', (env) => {
    const path = directory.at('in.jsonl')
    env
      .from('in', fileSource({ path, format: json<number>(), onUndecodable: 'dead-letter' }))
      .map((n) => {
        if (n % 64 === 0) Atomics.wait(nobody, 0, 0, 1) // so that there are checkpoints on the way
        if (n === 25_001 && !hasFailed) {
          hasFailed = true
          throw new Error('once')
        }
        return n
      })
      .to('rows', fileSink({ directory: directory.at('rows'), format: json<number>() }))
    env.deadLetters.to(
      'letters',
      fileSink({ directory: directory.at('letters'), format: deadLetterJson() }),
    )
  })

  const { checkpoints } = await run(failing, {
    checkpoints: { directory: directory.at('state'), interval: '20ms' },
    restart: { kind: 'fixed', attemptsMax: 3, delay: '10ms' },
    logger: new Log(),
  })

  assert.ok(hasFailed && checkpoints > 1, `${checkpoints} checkpoints`)
  const rows = (await linesIn(directory.at('rows'))).map(Number).toSorted((a, b) => a - b)
  const letters = (await linesIn(directory.at('letters'))).map((line) =>
    Number(/\{broken (\d+)/.exec(line)?.[1]),
  )
  assert.deepEqual(
    rows,
    indices(count).filter((i) => !isBroken(i)),
  )
  assert.deepEqual(
    letters.toSorted((a, b) => a - b),
    indices(count).filter(isBroken),
  )
})

test('left out records are counted and logged a few times', async () => {
  await using directory = await Directory.make()
  await writeLines(directory.at('in.jsonl'), 1000)
  const rows: number[] = []
  const log = new Log()

  await run(
    job('skipping', (env) => {
      const path = directory.at('in.jsonl')
      env
        .from('in', fileSource({ path, format: json<number>(), onUndecodable: 'skip' }))
        .to('rows', arraySink(rows))
    }),
    { logger: log },
  )

  assert.equal(rows.length, indices(1000).filter((i) => !isBroken(i)).length)
  const warnings = log.lines.filter((line) => line.includes('Left out'))
  assert.ok(warnings.length >= 7 && warnings.length <= 8, `${warnings.length} warnings`)
})

test('dead letters that nobody reads are a mistake of the job, and so is reading where there are none', () => {
  const format = json<number>()
  const source = fileSource({ path: 'in.jsonl', format, onUndecodable: 'dead-letter' })
  const unread = job('unread', (env) => env.from('in', source).to('rows', arraySink<number>([])))
  const tooEarly = job('too-early', (env) => {
    env.from('first', source).to('rows', arraySink<number>([]))
    env.deadLetters.to('letters', arraySink<DeadLetter>([]))
    env.from('second', source).to('more-rows', arraySink<number>([]))
  })
  const none = job('none', (env) => {
    env.from('in', fromArray([1])).to('rows', arraySink<number>([]))
    env.deadLetters.to('letters', arraySink<DeadLetter>([]))
  })

  assert.throws(() => unread.explain(), { code: 'DEAD_LETTERS_UNREAD', operatorUid: 'in' })
  assert.throws(() => tooEarly.explain(), /operator 'second' sends dead letters/)
  assert.throws(() => none.explain(), { code: 'JOB_INVALID', message: /no source before it/ })
})

async function linesIn(directory: string): Promise<string[]> {
  const names = (await readdir(directory, { recursive: true })).filter(
    (name) => !/(^|\/)[._]/.test(name),
  )
  const texts = await Promise.all(
    names.map((name) => readFile(join(directory, name), 'utf8').catch(() => '')),
  )
  return texts.flatMap((text) => text.split('\n')).filter((line) => line !== '')
}
