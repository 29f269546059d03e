/**
 * Runs the tests: `node dist/test/run-tests.js [--full] [PART …]`. A PART is a piece of a path below test/ (`unit`,
 * `unit/core`, `kafka/sink`); without one all are run. Files named `*.full.test.ts` take long and are run with `--full` only.
 *
 * node:test is handed the files by name, since a directory would have it run helpers too. A compiled test whose source is gone
 * is left out: tsc does not remove it.
 */
import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const compiledDirectory = fileURLToPath(new URL('.', import.meta.url))
const sourceDirectory = fileURLToPath(new URL('../../test/', import.meta.url))

/**
 * Files at once. Those with worker threads, child processes or a broker want more than a core for themselves, so there are as
 * many as cores, and no more than four brokers.
 */
const filesAtOnceMax = 4

const parts = process.argv.slice(2).filter((word) => word !== '--full')
const isFull = process.argv.includes('--full')
const files = testFiles()
if (files.length === 0) {
  console.error(`No test file has ${parts.join(' or ')} in its path below test/`)
  process.exit(1)
}
const tests = spawn(
  process.execPath,
  [
    '--test',
    '--test-reporter=spec',
    `--test-concurrency=${Math.min(filesAtOnceMax, availableParallelism())}`,
    ...files,
  ],
  { stdio: ['ignore', 'inherit', 'inherit'] },
)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => tests.kill(signal))
tests.on('exit', (code) => process.exit(code ?? 1))

function testFiles(): string[] {
  return readdirSync(compiledDirectory, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.js') && (isFull || !file.endsWith('.full.test.js')))
    .filter((file) => existsSync(join(sourceDirectory, file.replace(/\.js$/, '.ts'))))
    .filter(
      (file) =>
        parts.length === 0 || parts.some((part) => file.split(sep).join('/').includes(part)),
    )
    .toSorted()
    .map((file) => relative(process.cwd(), join(compiledDirectory, file)))
}
