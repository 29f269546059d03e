/** What tests of whole jobs need: directories, a log to look at, and waiting for what must come. */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'millrace'
import { loadSavepoint } from '../../src/checkpoint/storage/checkpoint-directory.ts'
import { nodeFileSystem } from '../../src/checkpoint/storage/node-file-system.ts'
import type { Manifest } from '../../src/checkpoint/manifest.ts'

/** A directory of its own, removed when the block is left. */
export class Directory implements AsyncDisposable {
  readonly path: string

  private constructor(path: string) {
    this.path = path
  }

  static async make(): Promise<Directory> {
    return new Directory(await mkdtemp(join(tmpdir(), 'millrace-test-')))
  }

  /** A path in it. */
  at(...names: readonly string[]): string {
    return join(this.path, ...names)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // a worker that is ending may still write
    await rm(this.path, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** Keeps every line. */
export class Log implements Logger {
  readonly lines: string[] = []

  info(text: string): void {
    this.lines.push(`info ${text}`)
  }

  warn(text: string): void {
    this.lines.push(`warn ${text}`)
  }

  error(text: string): void {
    this.lines.push(`error ${text}`)
  }

  has(text: string): boolean {
    return this.lines.some((line) => line.includes(text))
  }
}

/** Waits until `isSo`; fails only when that takes longer than any machine does. */
export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  deadlineMs: number = 120_000,
): Promise<void> {
  const startedMs = performance.now()
  while (!(await isSo())) {
    if (performance.now() - startedMs > deadlineMs) {
      throw new Error(`Waited ${deadlineMs} ms in vain until ${what}`)
    }
    await sleep(5)
  }
}

/** The paths of the checkpoints in a directory, oldest first: each can be started from. */
export async function checkpointsIn(directory: string): Promise<string[]> {
  const names = await readdir(join(directory, 'manifests')).catch(() => [])
  return names
    .filter((name) => /^\d+$/.test(name))
    .sort()
    .map((name) => join(directory, 'manifests', name))
}

/** A checkpoint or savepoint, verified. */
export function readManifest(path: string): Promise<Manifest> {
  return loadSavepoint(nodeFileSystem, path)
}

/** Fails unless the two have the same rows, each as often, in any order; shows the first few that differ. */
export function sameRows(actual: readonly string[], expected: readonly string[]): void {
  const counts = new Map<string, number>()
  for (const row of actual) counts.set(row, (counts.get(row) ?? 0) + 1)
  for (const row of expected) counts.set(row, (counts.get(row) ?? 0) - 1)
  const wrong = [...counts].filter(([, count]) => count !== 0)
  const shown = wrong.slice(0, 12).map(([row, count]) => `${count > 0 ? '+' : ''}${count} ${row}`)
  assert.equal(
    wrong.length,
    0,
    `${wrong.length} rows come too often (+) or too rarely (-), of ${actual.length} and ${expected.length}:\n${shown.join('\n')}`,
  )
}
