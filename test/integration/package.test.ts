/** The package as others get it, and the documents at its door. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const project = fileURLToPath(new URL('../../../', import.meta.url))
const about = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8')) as {
  readonly exports: Readonly<Record<string, string>>
  readonly bin: Readonly<Record<string, string>>
}

test('every entry point can be imported by its name, and has types', async () => {
  for (const [entry, file] of Object.entries(about.exports)) {
    if (!file.endsWith('.js')) continue
    const names = Object.keys((await import(entry.replace('.', 'millrace'))) as object)
    assert.ok(names.length > 0, `${entry} exports nothing`)
    assert.ok(existsSync(join(project, file.replace(/\.js$/, '.d.ts'))), `${entry} has no types`)
  }
})

test('a job that names no Avro loads none', async () => {
  const script = `
    import { createRequire } from 'node:module'
    const { cache } = createRequire(import.meta.url)
    const isLoaded = () => Object.keys(cache).some((path) => path.includes('avsc'))
    for (const name of ['millrace', 'millrace/kafka', 'millrace/schema-registry']) await import(name)
    const before = isLoaded()
    await import('millrace/avro')
    console.log(before, isLoaded())`
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], {
    cwd: project,
  })
  assert.equal(stdout.trim(), 'false true')
})

test('the tarball has what is run and typed, and no tests', async () => {
  const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: project,
    maxBuffer: 1 << 26,
  })
  const [tarball] = JSON.parse(stdout) as [{ readonly files: readonly { readonly path: string }[] }]
  const paths = new Set(tarball.files.map(({ path }) => path))
  const needed = [...Object.values(about.exports), ...Object.values(about.bin)]
    .map((file) => file.replace('./', ''))
    .flatMap((file) => (file.endsWith('.js') ? [file, file.replace(/\.js$/, '.d.ts')] : [file]))
  for (const path of [...needed, 'dist/src/job/worker-main.js', 'README.md', 'LICENSE']) {
    assert.ok(paths.has(path), `${path} is missing`)
  }
  assert.deepEqual(
    [...paths].filter((path) => /(^|\/)(test|bench|examples)\//.test(path)),
    [],
  )
})

test('the job in README.md runs as it stands there', async () => {
  const readme = readFileSync(join(project, 'README.md'), 'utf8')
  const [, code] = /```ts\n([^]*?)```/.exec(readme) ?? []
  assert.ok(code !== undefined)
  // below the package, so that its own name leads to it
  const directory = await mkdtemp(join(project, 'dist', 'readme-'))
  try {
    const file = join(directory, 'job.mjs')
    await writeFile(file, code)
    const { stdout } = await run(process.execPath, [file])
    const rows = stdout
      .trim()
      .split('\n')
      .map(
        (line) => JSON.parse(line) as { key: string; value: number; window: { startMs: number } },
      )
    assert.deepEqual(
      rows.map(({ key, value, window }) => `${window.startMs} ${key} ${value}`).toSorted(),
      [0, 60_000, 120_000]
        .flatMap((startMs) => [0, 1, 2].map((page) => `${startMs} /p${page} 200`))
        .toSorted(),
    )
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
})

test('links and paths in the documents lead somewhere', () => {
  const documents = [
    ...readdirSync(project).filter((name) => name.endsWith('.md')),
    ...readdirSync(join(project, 'docs'))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `docs/${name}`),
  ]
  const broken = documents.flatMap((document) => {
    const text = readFileSync(join(project, document), 'utf8')
    const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, to]) =>
      join(dirname(document), to ?? ''),
    )
    const paths = [
      ...text.matchAll(/`((?:src|operators|state-backends|test|bench|examples|docs)\/[\w./-]+)`/g),
    ].map(([, path]) => path ?? '')
    return [...links, ...paths]
      .filter((path) => !existsSync(join(project, path)))
      .map((path) => `${document}: ${path}`)
  })
  assert.deepEqual(broken, [])
})
