/** The use cases of the Dataflow paper as a reader runs them; each prints what stands at its end. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const folder = 'examples/dataflow'
const names = readdirSync(join(root, folder))
  .filter((name) => name.endsWith('.ts') && name !== 'play.ts')
  .map((name) => name.replace(/\.ts$/, ''))

test('there is a file for each use case, and docs/dataflow.md leads to all of them', () => {
  const document = readFileSync(join(root, 'docs/dataflow.md'), 'utf8')

  assert.ok(names.length >= 7)
  for (const name of names) assert.ok(document.includes(`(../${folder}/${name}.ts)`), name)
})

for (const name of names) {
  test(`examples/dataflow/${name}.ts prints what it says`, async () => {
    const text = readFileSync(join(root, folder, `${name}.ts`), 'utf8')
    const [, expected] = /^\/\* prints\n([^]*?)\*\/$/m.exec(text) ?? []

    const printed = await outputOf(join(root, 'dist', folder, `${name}.js`))

    assert.equal(printed, expected)
  })
}

function outputOf(file: string): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      [file],
      { timeout: 120_000, killSignal: 'SIGKILL' },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout)
        else reject(new Error(`${error.message}\n${stdout}\n${stderr}`))
      },
    )
  })
}
