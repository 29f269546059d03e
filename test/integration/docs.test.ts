/**
 * Runs the blocks of docs/walk-through.md and docs/testing.md, each document in a directory of its own, in order.
 *  - A block of `ts NAME` is written to NAME and type-checked; if it is no job (it has no default export) it is run.
 *  - A block of any other language with a NAME is written to NAME.
 *  - A block of `sh` is run, with `npx millrace` as the command line of this build.
 *  - A block of `text` is what the block before it must have printed.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const hooks = new URL('../support/module-hooks.js', import.meta.url).href
const DEADLINE_MS = 120_000

interface Block {
  readonly language: string
  readonly name: string | undefined
  readonly text: string
  readonly line: number
}

/** The documents, and how many blocks each has at least. */
const documents = [
  ['docs/walk-through.md', 20],
  ['docs/testing.md', 5],
] as const

function blocksOf(markdown: string): Block[] {
  return [...markdown.matchAll(/^```(\w+)(?: (\S+))?\n([^]*?)^```$/gm)].map((match) => ({
    language: match[1] ?? '',
    name: match[2],
    text: match[3] ?? '',
    line: markdown.slice(0, match.index).split('\n').length,
  }))
}

/** What a command prints; rejects with all of it where the command fails. */
function outputOf(directory: string, command: string, words: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(
      command,
      words,
      { cwd: directory, timeout: DEADLINE_MS, killSignal: 'SIGKILL' },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout)
        else reject(new Error(`${error.message}\n${stdout}\n${stderr}`))
      },
    )
  })
}

function run(directory: string, { language, name, text }: Block): Promise<string> {
  if (language === 'sh') {
    const cli = `'${process.execPath}' '${join(root, 'dist/src/cli/main.js')}'`
    return outputOf(directory, 'sh', ['-ec', text.replaceAll(/^npx millrace /gm, `${cli} `)])
  }
  return outputOf(directory, process.execPath, ['--no-warnings', '--import', hooks, name ?? ''])
}

for (const [document, blocksMin] of documents) {
  const blocks = blocksOf(readFileSync(join(root, document), 'utf8'))
  let directory: string

  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'millrace-docs-'))
    writeFileSync(join(directory, 'package.json'), JSON.stringify({ type: 'module' }))
  })

  after(() => rmSync(directory, { recursive: true, force: true }))

  test(`every block of ${document} is of a kind that is tested`, () => {
    assert.ok(blocks.length > blocksMin)
    for (const [index, { language, name, line }] of blocks.entries()) {
      const isKnown = name !== undefined || language === 'sh' || language === 'text'
      assert.ok(isKnown, `line ${line}: a block of ${language} without a name`)
      if (language !== 'text') continue
      const before = blocks[index - 1]?.language
      assert.ok(before === 'ts' || before === 'sh', `line ${line}: an output of nothing`)
    }
  })

  test(`the blocks of ${document} run, and print what it says`, async (t) => {
    for (const [index, block] of blocks.entries()) {
      const { language, name, text, line } = block
      if (name !== undefined) {
        mkdirSync(dirname(join(directory, name)), { recursive: true })
        writeFileSync(join(directory, name), text)
      }
      const isRun = language === 'sh' || (language === 'ts' && !/^export default /m.test(text))
      if (!isRun) continue
      await t.test(`line ${line}: ${name ?? text.split('\n')[0] ?? ''}`, async () => {
        const output = await run(directory, block)

        const next = blocks[index + 1]
        if (next?.language === 'text') assert.equal(output, next.text)
      })
    }
  })

  test(`the blocks of ${document} are right in their types`, async () => {
    const names = blocks.flatMap(({ language, name }) =>
      language === 'ts' && name !== undefined ? [name] : [],
    )
    for (const [index, block] of blocks.entries()) {
      if (block.name === undefined) continue
      assert.ok(
        blocks.findIndex(({ name }) => name === block.name) === index,
        `line ${block.line}: ${block.name} is there twice`,
      )
    }
    const entries = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      readonly exports: Readonly<Record<string, string>>
    }
    const paths = Object.entries(entries.exports)
      .filter(([, file]) => file.endsWith('.js'))
      .map(([entry, file]) => [
        entry.replace(/^\./, 'millrace'),
        [join(root, file.replace(/\.js$/, '.d.ts'))],
      ])
    writeFileSync(
      join(directory, 'tsconfig.json'),
      JSON.stringify({
        extends: join(root, 'tsconfig.json'),
        compilerOptions: {
          noEmit: true,
          incremental: false,
          tsBuildInfoFile: null,
          declaration: false,
          isolatedDeclarations: false,
          allowImportingTsExtensions: true,
          rootDir: '/',
          typeRoots: [join(root, 'node_modules/@types')],
          paths: Object.fromEntries(paths) as unknown,
        },
        files: names,
        include: [],
      }),
    )

    await outputOf(directory, process.execPath, [
      join(root, 'node_modules/typescript/bin/tsc'),
      '-p',
      '.',
    ])
  })
}
