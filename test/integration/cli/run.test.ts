/** `millrace run` as a user has it: a job file in a directory of its own, with no package.json and nothing installed. */
import assert from 'node:assert/strict'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { runCommand } from '../../support/commands.ts'
import type { Ended } from '../../support/commands.ts'
import { Directory } from '../../support/running-jobs.ts'

const words = `
import { fromArray, job, printSink } from 'millrace'
import type { Row } from './rows.ts'
import { rows } from './rows.js'

export default job('words', (env) => {
  env
    .from('rows', fromArray<Row>(rows))
    .keyBy((row) => row.word)
    .sum('sums', (row) => row.n)
    .to('out', printSink())
})
`
const rows = `
export interface Row { readonly word: string; readonly n: number }
export const rows: readonly Row[] = [{ word: 'a', n: 1 }, { word: 'b', n: 2 }, { word: 'a', n: 3 }]
`

async function withFiles(files: Readonly<Record<string, string>>): Promise<Directory> {
  const directory = await Directory.make()
  for (const [name, text] of Object.entries(files)) await writeFile(directory.at(name), text)
  return directory
}

function run(
  directory: Directory,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  return runCommand(args, {
    cwd: directory.path,
    runDirectory: directory.at('run'),
    environment,
  })
}

const sorted = (out: string): string[] => out.trim().split('\n').sort()

test('a bounded .ts job runs in worker threads and in the calling thread, and ends by itself', async () => {
  await using directory = await withFiles({ 'words.ts': words, 'rows.ts': rows })

  const inThreads = await run(directory, ['run', 'words.ts', '--threads', '2'])
  const inCaller = await run(directory, ['run', '--threads', '0', 'words.ts'])

  for (const { code, out, log } of [inThreads, inCaller]) {
    assert.equal(code, 0, log)
    assert.deepEqual(sorted(out), [
      '{"key":"a","value":1}',
      '{"key":"a","value":4}',
      '{"key":"b","value":2}',
    ])
    assert.match(log, /First start: begins with nothing/)
    assert.match(log, /Finished after .*: 3 records read, 3 written/)
    assert.doesNotMatch(log, /Warning/)
  }
  assert.match(inThreads.log, /2 thread\(s\)/)
  assert.match(inCaller.log, /in the calling thread/)
  assert.deepEqual(await readdir(directory.path), ['run', 'rows.ts', 'words.ts'].sort())
})

test('a .js job and a .ts job below a package of CommonJS run as well', async () => {
  const plain = words.replace(/^import type.*$/m, '').replace('<Row>', '')
  await using directory = await withFiles({
    'package.json': '{"type": "commonjs"}',
    'words.ts': words,
    'rows.ts': rows,
    'plain.mjs': plain,
  })

  for (const file of ['words.ts', 'plain.mjs']) {
    const { code, out, log } = await run(directory, ['run', file, '--threads', '1'])
    assert.equal(code, 0, log)
    assert.equal(sorted(out).length, 3)
  }
})

test('every mistake of file, environment and command line is named at once, and nothing starts', async () => {
  await using directory = await withFiles({
    'words.ts': 'console.log("loaded")',
    'run.yaml': 'paralelism: 2\ncheckpoints:\n  interval: 5\n',
  })

  const { code, out, log } = await run(
    directory,
    ['run', 'words.ts', '--config', 'run.yaml', '--stat', 'leveldb', '--threads=x'],
    { MILLRACE_GUARANTEE: 'maybe' },
  )

  assert.equal(code, 2)
  assert.equal(out, '')
  assert.match(log, /CONFIG_INVALID: There are 5 mistakes/)
  for (const mistake of [
    'run.yaml: paralelism is no option; did you mean parallelism?',
    'run.yaml: checkpoints.interval: 5 is not a duration',
    'MILLRACE_GUARANTEE: ',
    '--stat is no option of this command; did you mean --state?',
    "--threads: 'x' is not a whole number from 0",
  ]) {
    assert.ok(log.includes(mistake), `${log}\nnames: ${mistake}`)
  }
})

test('a wrong command line ends with exit code 2 and says what is wrong', async () => {
  await using directory = await withFiles({
    'words.ts': words,
    'rows.ts': rows,
    'bad.yaml': 'a: [',
  })
  const table: readonly (readonly [readonly string[], RegExp])[] = [
    [['run'], /missing required argument 'job'/],
    [['frobnicate'], /unknown command 'frobnicate'/],
    [['run', 'missing.ts'], /missing\.ts: there is no such job file/],
    [['run', 'words.ts', 'rows.ts'], /'rows\.ts' is one argument too many/],
    [['run', 'words.ts', '--config', 'bad.yaml'], /bad\.yaml: it is no YAML/],
    [['run', 'words.ts', '--config', 'none.yaml'], /none\.yaml: it cannot be read/],
    [['run', 'words.ts', '--from', 'nowhere'], /SAVEPOINT_NOT_FOUND/],
    [['list', '--jsn'], /unknown option '--jsn'[\s\S]*--json/],
  ]

  const results = await Promise.all(table.map(([args]) => run(directory, args)))

  for (const [index, [args, said]] of table.entries()) {
    assert.equal(results[index]?.code, 2, args.join(' '))
    assert.match(results[index]?.log ?? '', said)
  }
})

test('parameters come from file, environment and command line, and are decoded by the job', async () => {
  const source = `
    import { fromArray, job, printSink } from 'millrace'
    const params = { '~standard': { version: 1, vendor: 'own', validate: (value) =>
      typeof value.limit === 'number' ? { value } : { issues: [{ message: 'is no number', path: ['limit'] }] } } }
    export default job('params', { params }, (env) => {
      env.from('in', fromArray([env.params])).to('out', printSink())
    })`
  await using directory = await withFiles({
    'params.js': source,
    'run.json': '{"threads": 0, "params": {"topic": "file", "limit": 1}}',
  })

  const right = await run(
    directory,
    ['run', 'params.js', '--config', 'run.json', '--params', 'limit:=3'],
    { MILLRACE_PARAMS: 'topic=variable' },
  )
  const wrong = await run(directory, ['run', 'params.js', '--params', 'limit=3'])

  assert.equal(right.code, 0, right.log)
  assert.deepEqual(JSON.parse(right.out), { topic: 'variable', limit: 3 })
  assert.equal(wrong.code, 2)
  assert.match(wrong.log, /PARAMS_INVALID: .*'params'.*\n +limit: is no number/)
})

test('a job file that cannot be used is refused with the place, exit code 3', async () => {
  await using directory = await withFiles({
    'none.ts': 'export const job = 1\n',
    'syntax.ts': 'export const a = 1\nexport default (\n',
    'enum.ts': 'export enum A { x }\n',
    'throws.js': `import { job } from 'millrace'\nexport default job('t', () => { throw new Error('boom') })\n`,
  })
  const table = [
    ['none.ts', /JOB_MODULE_INVALID: .*has no job as its default export/],
    ['syntax.ts', /JOB_MODULE_INVALID: .*syntax\.ts:[23]: /],
    ['enum.ts', /JOB_MODULE_INVALID: .*enum\.ts:1: .*enum is not supported/],
    [
      'throws.js',
      /JOB_MODULE_INVALID: Job 't' \(throws\.js\) cannot be built: boom[\s\S]*throws\.js:2/,
    ],
  ] as const

  const results = await Promise.all(table.map(([file]) => run(directory, ['run', file])))

  for (const [index, [file, said]] of table.entries()) {
    assert.equal(results[index]?.code, 3, file)
    assert.match(results[index]?.log ?? '', said)
  }
})

test('a failing user function ends with exit code 1 and the line of the job file', async () => {
  const source = `import { fromArray, job, printSink } from 'millrace'
    interface Row { readonly n: number }
    export default job('fails', (env) => {
      env.from('in', fromArray<Row>([{ n: 1 }]))
        .map((row): number => { throw new Error('boom ' + row.n) })
        .to('out', printSink())
    })`
  await using directory = await withFiles({ 'fails.ts': source })

  const { code, log } = await run(directory, ['run', 'fails.ts', '--threads', '1'])

  assert.equal(code, 1)
  assert.match(log, /USER_FUNCTION_FAILED: .*boom 1/)
  assert.match(log, /fails\.ts:5/)
})

test('explain prints the plan that run would carry out', async () => {
  await using directory = await withFiles({ 'words.ts': words, 'rows.ts': rows })
  await mkdir(directory.at('elsewhere'))

  const [text, json, mermaid] = await Promise.all([
    run(directory, ['explain', 'words.ts', '--parallelism', '3']),
    run(directory, ['explain', '--format', 'json', 'words.ts', '--parallelism=3']),
    run(directory, ['explain', 'words.ts', '--format', 'mermaid']),
  ])

  assert.match(text.out, /job words, 128 key groups/)
  assert.match(text.out, /sum 'sums'/)
  assert.equal(JSON.parse(json.out).tasks[1].parallelism, 3)
  assert.match(mermaid.out, /^flowchart LR/)
})
