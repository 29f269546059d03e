/**
 * The input of the counting job, and what its output must be: made by a sequential program that knows nothing of the engine.
 *
 * Records have unique ids. Of the keys one half has all its records in one file, so the order of a key's records, and with it each
 * record's count, is certain; the other half is spread over all files, so that only the set of its counts is.
 */
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface CountingRecord {
  readonly id: number
  readonly key: string
  readonly atMs: number
}

/** A running count: record `id` was the `count`th of its key. */
export interface CountRow {
  readonly id: number
  readonly key: string
  readonly count: number
}

/** The records of a key in a window. */
export interface WindowRow {
  readonly key: string
  readonly endMs: number
  readonly count: number
  readonly idSum: number
}

export interface InputSize {
  readonly recordCount: number
  readonly fileCount: number
  readonly keyCount: number
}

export const WINDOW_MS = 10_000
const STEP_MS = 7

/** The records of one file, in order. Deterministic. */
export function* recordsOf(file: number, size: InputSize): Generator<CountingRecord> {
  const { recordCount, fileCount, keyCount } = size
  const keysOfFile = Math.floor(keyCount / 2 / fileCount)
  for (let id = file; id < recordCount; id += fileCount) {
    const chance = Math.imul(id + 1, 0x9e3779b1) >>> 0
    const isOfFile = chance % 2 === 0
    const key = isOfFile
      ? `file-${file}-${(chance >>> 1) % keysOfFile}`
      : `any-${(chance >>> 1) % Math.floor(keyCount / 2)}`
    // up to 500 ms late within its file
    const atMs = 1_000_000 + id * STEP_MS - ((chance >>> 8) % 500)
    yield { id, key, atMs }
  }
}

/** Writes the files `in-*.jsonl`. */
export async function writeInput(directory: string, size: InputSize): Promise<void> {
  await mkdir(directory, { recursive: true })
  for (let file = 0; file < size.fileCount; file++) {
    const lines: string[] = []
    for (const record of recordsOf(file, size)) lines.push(`${JSON.stringify(record)}\n`)
    await writeFile(join(directory, `in-${String(file).padStart(2, '0')}.jsonl`), lines.join(''))
  }
}

/** Fails unless the two outputs are exactly those of the input. */
export function checkOutput(
  rowsDirectory: string,
  windowsDirectory: string,
  size: InputSize,
): void {
  checkRows(readLines<CountRow>(rowsDirectory), size)
  checkWindows(readLines<WindowRow>(windowsDirectory), size)
}

function checkRows(rows: readonly CountRow[], size: InputSize): void {
  const times = new Uint32Array(size.recordCount)
  for (const { id } of rows) times[id] = (times[id] ?? 0) + 1
  const wrong: string[] = []
  times.forEach((count, id) => {
    if (count !== 1 && wrong.length < 10) wrong.push(`id ${id} ${count} times`)
  })
  assert.deepEqual(wrong, [], 'every id is there once')
  assert.equal(rows.length, size.recordCount)

  const counts = new Map<string, number>()
  const expected = new Map<number, CountRow>()
  for (let file = 0; file < size.fileCount; file++) {
    for (const { id, key } of recordsOf(file, size)) {
      const count = (counts.get(key) ?? 0) + 1
      counts.set(key, count)
      expected.set(id, { id, key, count })
    }
  }
  const seen = new Map<string, Set<number>>()
  for (const row of rows) {
    const reference = expected.get(row.id) as CountRow
    assert.equal(row.key, reference.key)
    if (row.key.startsWith('file-')) assert.deepEqual(row, reference)
    let ofKey = seen.get(row.key)
    if (ofKey === undefined) seen.set(row.key, (ofKey = new Set()))
    assert(!ofKey.has(row.count), `key ${row.key} has the count ${row.count} once`)
    ofKey.add(row.count)
    assert(row.count >= 1 && row.count <= (counts.get(row.key) ?? 0), `${row.key}: ${row.count}`)
  }
}

function checkWindows(rows: readonly WindowRow[], size: InputSize): void {
  const expected = new Map<string, WindowRow>()
  for (let file = 0; file < size.fileCount; file++) {
    for (const { id, key, atMs } of recordsOf(file, size)) {
      const endMs = (Math.floor(atMs / WINDOW_MS) + 1) * WINDOW_MS
      const name = nameOf({ key, endMs })
      const former = expected.get(name)
      expected.set(name, {
        key,
        endMs,
        count: (former?.count ?? 0) + 1,
        idSum: (former?.idSum ?? 0) + id,
      })
    }
  }
  const found = new Map<string, WindowRow>()
  for (const row of rows) {
    const name = nameOf(row)
    assert(!found.has(name), `the window ${name} fired once`)
    found.set(name, row)
    assert.deepEqual(row, expected.get(name))
  }
  assert.equal(found.size, expected.size, 'every window fired')
}

function nameOf({ key, endMs }: { readonly key: string; readonly endMs: number }): string {
  return `${key} until ${endMs}`
}

/** The records in the visible files of a directory. */
export function readLines<T>(directory: string): T[] {
  const rows: T[] = []
  for (const name of visibleFiles(directory)) {
    const text = readFileSync(join(directory, name), 'utf8')
    assert(text.endsWith('\n'), `${name} ends with a line end`)
    for (const line of text.slice(0, -1).split('\n')) rows.push(JSON.parse(line) as T)
  }
  return rows
}

/** The names that are not hidden; none where there is no directory yet. */
export function visibleFiles(directory: string): string[] {
  return namesIn(directory).filter((name) => !name.startsWith('.'))
}

/** The names in a directory; none where there is none. */
export function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    // not made yet
    return []
  }
}
