/** That LevelDB reads tables instead of mapping them, seen from outside: in the list of what the process has mapped. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'
import { openLevelTable } from '../../state-backends/leveldb/level-table.ts'
import { readTablesUnmapped } from '../../state-backends/leveldb/table-mappings.ts'

const canLook = existsSync('/proc/self/maps')
const options = { blockCacheBytes: 1 << 20, writeBufferBytes: 65_536 }

describe('Mappings of tables', () => {
  let directory = ''
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'table-mappings-'))
  })
  after(() => rm(directory, { recursive: true, force: true }))

  it(
    'are none of the tables that are read, and the tables are right',
    { skip: !canLook },
    async () => {
      const table = await openLevelTable(directory, options)
      const keys = Array.from({ length: 3000 }, (_, index) =>
        Buffer.from(String(index).padStart(5, '0')),
      )
      const values = keys.map(() => randomBytes(100))
      for (let at = 0; at < keys.length; at += 100) {
        await table.write({ keys: keys.slice(at, at + 100), values: values.slice(at, at + 100) })
      }
      for (const [index, key] of keys.entries()) assert.deepEqual(table.getSync(key), values[index])
      assert(mapped().length >= 900, 'The mappings are held')
      assert.deepEqual(
        mapped().filter((line) => line.includes(directory)),
        [],
      )
      await table.close()
    },
  )

  it('are held once for all threads, and leave no files behind', async () => {
    assert.equal(await readTablesUnmapped(), process.platform !== 'win32')
    const before = canLook ? mapped().length : 0
    const module = new URL('../../state-backends/leveldb/table-mappings.js', import.meta.url)
    const text = `import(${JSON.stringify(module.href)})
      .then(({ readTablesUnmapped }) => readTablesUnmapped())
      .then((isHeld) => require('node:worker_threads').parentPort.postMessage(isHeld))`
    const worker = new Worker(text, { eval: true })
    const isHeld = await new Promise((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
    })
    await worker.terminate()
    assert.equal(isHeld, process.platform !== 'win32')
    if (canLook) assert.equal(mapped().length, before)
    const names = await readdir(tmpdir())
    assert.deepEqual(
      names.filter((name) => name.startsWith(`millrace-mappings-${process.pid}`)),
      [],
    )
  })
})

describe('Mappings of tables that several threads reach for at once', () => {
  // The thread that came too late made files in the directory that the first was removing, which failed, and with it every
  // restart of its subtasks.
  it('are held by one, all go on, and no files are left', async () => {
    const module = new URL('../../state-backends/leveldb/table-mappings.js', import.meta.url)
    const child = `
      import { Worker } from 'node:worker_threads'
      const text = \`
        const { parentPort } = require('node:worker_threads')
        import(${JSON.stringify(module.href)}).then(({ readTablesUnmapped }) => {
          parentPort.on('message', () => readTablesUnmapped().then(
            (isHeld) => parentPort.postMessage(isHeld), (error) => parentPort.postMessage(error.message)))
          parentPort.postMessage('ready')
        })\`
      const said = (worker) => new Promise((resolve) => worker.once('message', resolve))
      const answers = []
      for (let round = 0; round < 6; round++) {
        const workers = Array.from({ length: 4 }, () => new Worker(text, { eval: true, execArgv: [] }))
        await Promise.all(workers.map(said))
        const held = Promise.all(workers.map(said))
        for (const worker of workers) worker.postMessage('go')
        answers.push(...(await held))
        await Promise.all(workers.map((worker) => worker.terminate()))
      }
      console.log(JSON.stringify(answers))`
    const directory = await mkdtemp(join(tmpdir(), 'table-mappings-'))
    try {
      const { stdout } = await promisify(execFile)(
        process.execPath,
        ['--input-type=module', '--eval', child],
        { env: { ...process.env, TMPDIR: directory } },
      )

      const answers = JSON.parse(stdout) as readonly unknown[]
      assert.deepEqual(
        answers,
        Array.from({ length: 24 }, () => process.platform !== 'win32'),
      )
      assert.deepEqual(await readdir(directory), [])
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  })
})

/** The tables in the memory of this process. */
function mapped(): readonly string[] {
  return readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter((line) => line.includes('.ldb'))
}
