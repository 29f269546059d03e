/** That LevelDB reads tables instead of mapping them, seen from outside: in the list of what the process has mapped. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
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

/** The tables in the memory of this process. */
function mapped(): readonly string[] {
  return readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter((line) => line.includes('.ldb'))
}
