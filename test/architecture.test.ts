/**
 * Holds the shape of the house: which room may name which, what is pure, who re-exports, and that nothing lies about unused.
 * It reads the imports of all files in src, operators and state-backends. A rule has its exceptions beside it, each with its reason.
 */
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, normalize, sep } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { errorCodes } from '../src/core/error-codes.ts'

const project = fileURLToPath(new URL('../../', import.meta.url))

/**
 * What each room may name beside itself.
 *  - `state` is what users see of keyed state (handles, timers), built once of the contract's cells. So it stands between contract and
 *    operators; backends and runtime know cells only.
 *  - `testing` runs jobs step by step for the tests of whoever writes them: it stands beside the service, above all that runs.
 *  - `job` alone names backends, and no connector: those come with the job's own module.
 *  - `entry` is src/index.ts, which re-exports what a job is written with.
 */
const below: Readonly<Record<string, readonly string[]>> = {
  core: [],
  contract: ['core'],
  state: ['contract', 'core'],
  plan: ['contract', 'core'],
  channel: ['contract', 'core'],
  checkpoint: ['contract', 'core'],
  operators: ['state', 'contract', 'core'],
  'state-backends': ['contract', 'core'],
  runtime: ['plan', 'channel', 'checkpoint', 'contract', 'core'],
  job: ['runtime', 'state-backends', 'plan', 'channel', 'checkpoint', 'contract', 'core'],
  api: ['plan', 'operators', 'state', 'contract', 'core'],
  entry: ['api', 'job', 'operators', 'plan', 'state', 'contract', 'core'],
  service: ['job', 'runtime', 'checkpoint', 'plan', 'contract', 'core'],
  cli: ['service', 'job', 'runtime', 'checkpoint', 'plan', 'contract', 'core'],
  testing: [
    'api',
    'job',
    'runtime',
    'channel',
    'checkpoint',
    'plan',
    'operators',
    'state',
    'state-backends',
    'contract',
    'core',
  ],
}

/** The only file of a room that names another. */
const doors: Readonly<Record<string, string>> = {
  'job -> state-backends': 'src/job/slot-setup.ts',
}

/** Rooms that are the same in every run: time, chance and the world come in through an interface. */
const pureRooms = [
  'core',
  'contract',
  'state',
  'plan',
  'channel',
  'checkpoint',
  'operators',
  'runtime',
]

/** Parts of Node that only compute. */
const computing = ['node:assert', 'node:buffer', 'node:path', 'node:zlib']

const worldly =
  /\bDate\.now\b|\bnew Date\(\)|\bperformance\.|\bhrtime\b|\bMath\.random\b|\brandomUUID\b|\brandomBytes\b|\bset(?:Timeout|Interval|Immediate)\b|\bconsole\.|\bprocess\./

/** What touches the world all the same, and why that is its business. */
const touchesWorld: Readonly<Record<string, string>> = {
  'operators/files/': 'a connector',
  'operators/kafka/': 'a connector',
  'operators/schema-registry/confluent-registry.ts': 'a client over HTTP, off the record path',
  'operators/sinks/print.ts': 'printing is what it is for',
  'src/checkpoint/storage/node-file-system.ts': 'the file system, behind an interface',
  'src/plan/fingerprint.ts': 'node:crypto, for a digest',
  'src/runtime/slot-loop.ts': 'gives the event loop its turn; its clock is handed in',
}

const importStatement =
  /^(?:import|export) (?<type>type )?(?:(?:\{[^}]*\}|\* as \w+|\w+)(?:, \{[^}]*\})? from )?'(?<name>[^']+)'/gm

interface SourceFile {
  readonly path: string
  readonly room: string
  readonly text: string
  /** Without comments. */
  readonly code: string
  /** Files of the project, by their paths. */
  readonly imports: readonly string[]
  /** What is loaded by its address: the entry of a thread, hooks of the loader. */
  readonly starts: readonly string[]
  /** The imports that run when this file is loaded. */
  readonly runs: readonly string[]
  /** Names of packages and of parts of Node. */
  readonly packages: readonly string[]
}

const files: readonly SourceFile[] = ['src', 'operators', 'state-backends'].flatMap((folder) =>
  readdirSync(join(project, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => `${folder}/${name.split(sep).join('/')}`)
    .filter((path) => path.endsWith('.ts'))
    .map(readSource),
)
const entryPoints = readEntryPoints()

test('a room names only rooms below it', () => {
  const wrong = files.flatMap(({ path, room, imports }) => {
    const allowed = below[room]
    if (allowed === undefined) return [`${path}: the room '${room}' has no place in the order yet`]
    return imports
      .filter((target) => roomOf(target) !== room && !allowed.includes(roomOf(target)))
      .map((target) => `${path} names ${target}`)
  })
  assert.deepEqual(wrong, [])
})

test('the order of rooms has no circle', () => {
  const isAbove = (room: string, other: string): boolean =>
    (below[room] ?? []).some((next) => next === other || isAbove(next, other))
  for (const room of Object.keys(below)) {
    for (const next of below[room] ?? []) assert.ok(!isAbove(next, room), `${room} and ${next}`)
  }
})

test('where a room has one door to another, nothing else goes through the wall', () => {
  const wrong = files.flatMap(({ path, room, imports }) =>
    imports
      .filter((target) => {
        const door = doors[`${room} -> ${roomOf(target)}`]
        return door !== undefined && door !== path
      })
      .map((target) => `${path} names ${target}`),
  )
  assert.deepEqual(wrong, [])
})

test('an operator names no other connector than its own', () => {
  const connectors = ['operators/files/', 'operators/kafka/']
  const wrong = files.flatMap(({ path, imports }) =>
    connectors
      .filter((connector) => !path.startsWith(connector))
      .flatMap((connector) => imports.filter((target) => target.startsWith(connector)))
      .map((target) => `${path} names ${target}`),
  )
  assert.deepEqual(wrong, [])
})

test('time, chance and the world come into pure rooms through interfaces', () => {
  const used = new Set<string>()
  const wrong = files
    .filter(({ room }) => pureRooms.includes(room))
    .flatMap(({ path, code, packages }) => {
      const found = [
        ...packages.filter((name) => name.startsWith('node:') && !computing.includes(name)),
        ...(worldly.exec(code) ?? []),
      ]
      if (found.length === 0) return []
      const exception = Object.keys(touchesWorld).find((start) => path.startsWith(start))
      if (exception === undefined) return [`${path} uses ${found.join(', ')}`]
      used.add(exception)
      return []
    })
  assert.deepEqual(wrong, [])
  assert.deepEqual(
    [...used].toSorted(),
    Object.keys(touchesWorld).toSorted(),
    'an exception too many',
  )
})

test('only entry points re-export, and by name', () => {
  const wrong = files
    .filter(({ path, code }) => {
      if (/\bexport \*/.test(code)) return true
      return /\bexport (?:type )?\{[^}]*\}\s*from\b/.test(code) && !entryPoints.includes(path)
    })
    .map(({ path }) => path)
  assert.deepEqual(wrong, [])
})

test('inside the package nobody imports src/index.ts', () => {
  assert.deepEqual(
    files.filter(({ imports }) => imports.includes('src/index.ts')).map(({ path }) => path),
    [],
  )
})

test('every file is imported by another, or is an entry', () => {
  const named = new Set(files.flatMap(({ imports, starts }) => [...imports, ...starts]))
  const unused = files
    .map(({ path }) => path)
    .filter((path) => !named.has(path) && !entryPoints.includes(path) && !path.endsWith('.d.ts'))
  assert.deepEqual(unused, [])
})

test('no file needs itself to be loaded', () => {
  const importsOf = new Map(files.map(({ path, runs }) => [path, runs]))
  const done = new Set<string>()
  const circles: string[] = []
  const walk = (path: string, way: readonly string[]): void => {
    const seenAt = way.indexOf(path)
    if (seenAt >= 0) circles.push([...way.slice(seenAt), path].join(' -> '))
    if (seenAt >= 0 || done.has(path)) return
    for (const target of importsOf.get(path) ?? []) walk(target, [...way, path])
    done.add(path)
  }
  for (const { path } of files) walk(path, [])
  assert.deepEqual(circles, [])
})

test('no folder or file is named for having no name', () => {
  const nameless = /(?:^|\/)(?:utils?|helpers?|common|types|impl|misc|shared)(?:\/|\.ts$)/
  assert.deepEqual(
    files.map(({ path }) => path).filter((path) => nameless.test(path)),
    [],
  )
})

test('a library has one room that names it', () => {
  const homes: Readonly<Record<string, readonly string[]>> = {
    avsc: ['operators/avro'],
    kafkajs: ['operators/kafka'],
    level: ['state-backends/leveldb', 'src/checkpoint/storage'],
    msgpackr: ['src/core', 'operators/formats'],
    'worker-threads-pool': ['src/job'],
    '@swc/wasm-typescript': ['src/job'],
    commander: ['src/cli'],
    fastify: ['src/service'],
    pino: ['src/cli'],
    'prom-client': ['src/service'],
    'temporal-polyfill': ['operators/window'],
    'log-update': ['src/cli'],
    yaml: ['src/cli', 'src/service'],
    zod: ['src/cli', 'src/service'],
  }
  const wrong = files.flatMap(({ path, packages }) =>
    packages
      .filter((name) => !name.startsWith('node:'))
      .filter((name) => !(homes[name] ?? []).some((home) => path.startsWith(`${home}/`)))
      .map((name) => `${path} uses ${name}`),
  )
  assert.deepEqual(wrong, [])
})

test('every error code is thrown somewhere', () => {
  const places = files.filter(({ path }) => path !== 'src/core/error-codes.ts')
  const isThrown = (code: string): boolean => {
    const made = new RegExp(`(?<!case |=== |!== )'${code}'`)
    return places.some(({ code: text }) => made.test(text))
  }
  assert.deepEqual(
    Object.keys(errorCodes).filter((code) => !isThrown(code)),
    [],
  )
})

test('docs/errors.md explains every error code, in the order of the table', () => {
  const sections = textOf('docs/errors.md').split(/^### /m).slice(1)
  const explained = sections.map((section) => {
    const [, code, origin] = /^`(\w+)`\n\n_([^_]+)_\n\n> \S/.exec(section) ?? []
    const isWhole = /^Cause: \S/m.test(section) && /^Remedy: \S/m.test(section)
    return isWhole
      ? `${code}: ${origin}`
      : `${section.split('\n', 1)[0]} lacks message, cause or remedy`
  })
  assert.deepEqual(
    explained,
    Object.entries(errorCodes).map(([code, origin]) => `${code}: ${origin}`),
  )
})

function readSource(path: string): SourceFile {
  const text = textOf(path)
  const code = text.replaceAll(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, '')
  const statements = [...code.matchAll(importStatement)]
  const named = [
    ...statements.map(({ groups }) => groups?.['name'] ?? ''),
    ...[...code.matchAll(/\b(?:import|require)\('([^']+)'\)/g)].map(([, name]) => name ?? ''),
  ]
  const local = (names: readonly string[]): readonly string[] =>
    names
      .filter((name) => name.startsWith('.'))
      .map((name) =>
        normalize(join(dirname(path), name))
          .split(sep)
          .join('/'),
      )
  return {
    path,
    room: roomOf(path),
    text,
    code,
    imports: local(named),
    starts: local(
      [...code.matchAll(/\bnew URL\(\s*[`'](\.[^`'$]*)/g)].map(([, name]) => `${name}.ts`),
    ),
    runs: local(
      statements
        .filter(({ groups }) => groups?.['type'] === undefined)
        .map(({ groups }) => groups?.['name'] ?? ''),
    ),
    packages: named.filter((name) => !name.startsWith('.')),
  }
}

function textOf(path: string): string {
  return readFileSync(join(project, path), 'utf8')
}

function roomOf(path: string): string {
  const [top = '', room = ''] = path.split('/')
  if (top !== 'src') return top
  return room === 'index.ts' ? 'entry' : room
}

/** The source files of what package.json lets others import or run. */
function readEntryPoints(): readonly string[] {
  const { exports, bin } = JSON.parse(textOf('package.json')) as {
    readonly exports: Readonly<Record<string, string>>
    readonly bin: Readonly<Record<string, string>>
  }
  return [...Object.values(exports), ...Object.values(bin)]
    .filter((file) => file.endsWith('.js'))
    .map((file) => file.replace(/^\.\/dist\//, '').replace(/\.js$/, '.ts'))
}
