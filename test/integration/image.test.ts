/**
 * The image of docker/Dockerfile without Docker: the files that its last stage copies, packages without those for development, and its
 * entry point, environment and health check as they stand there. Then docs/service.md, 'Deploying a job', step by step.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { parse } from 'yaml'
import type { JobReport, SavepointReply, StopReply } from '../../src/service/control-protocol.ts'
import { Command } from '../support/commands.ts'
import { counting } from '../support/counting-job.ts'
import { committedValues } from '../support/kafka/committed.ts'
import { sharedKafka, skipWithoutKafka } from '../support/kafka/start-kafka.ts'
import { freshTopic } from '../support/kafka/topics.ts'
import { until } from '../support/running-jobs.ts'

const project = fileURLToPath(new URL('../../../', import.meta.url))
const TOKEN = 'a token of some length'
const run = promisify(execFile)

/** The last stage of the Dockerfile. */
interface Image {
  readonly environment: Readonly<Record<string, string>>
  readonly copies: readonly (readonly [from: string, to: string])[]
  readonly entryPoint: readonly string[]
  readonly healthCheck: readonly string[]
}

let root: string
let image: Image

before(async () => {
  image = readImage(await readFile(join(project, 'docker/Dockerfile'), 'utf8'))
  root = await mkdtemp(join(tmpdir(), 'millrace-image-'))
  await mkdir(join(root, 'data'))
  for (const [from, to] of image.copies) {
    if (from === '/app/node_modules') await copyPackages(join(root, 'app', 'node_modules'))
    else await copyTo(from.replace(/^\/app\//, ''), join(root, to))
  }
})

after(() => rm(root, { recursive: true, force: true }))

/** What `docker run` would start; port 8080 of it is another here, so that tests can run side by side. */
class Container implements AsyncDisposable {
  readonly command: Command

  constructor(args: readonly string[], environment: Readonly<Record<string, string>>) {
    const [node, main = ''] = image.entryPoint
    assert.equal(node, 'node')
    this.command = new Command(
      args,
      {
        cwd: join(root, 'data'),
        runDirectory: join(root, 'run'),
        environment: {
          ...image.environment,
          MILLRACE_HTTP: '0.0.0.0:0',
          MILLRACE_HTTP_TOKEN: TOKEN,
          ...environment,
        },
      },
      join(root, main),
    )
  }

  async port(): Promise<string> {
    await this.command.says('Listens on')
    return /Listens on http:\/\/0\.0\.0\.0:(\d+)/.exec(this.command.log)?.[1] ?? ''
  }

  async call(method: 'GET' | 'POST', path: string, body?: object): Promise<Response> {
    return fetch(`http://127.0.0.1:${await this.port()}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${TOKEN}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  }

  async until(path: string, status: number): Promise<void> {
    await until(
      `${path} answers ${status}`,
      async () => (await this.call('GET', path)).status === status,
    )
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.command[Symbol.asyncDispose]()
  }
}

test('the files and packages of the image run a job, and its health check sees it', async () => {
  await writeFile(join(root, 'jobs', 'counting.ts'), counting)
  await using container = new Container(['run', join(root, 'jobs', 'counting.ts')], {})
  await container.until('/ready', 200)
  const port = await container.port()
  const [node, ...args] = image.healthCheck.map((word) => word.replace(':8080', `:${port}`))

  await run(node ?? '', args)
  const stopped = await container.call('POST', '/v1/stop')
  const { code, log } = await container.command.ended

  assert.equal(stopped.status, 200)
  assert.equal(code, 0, log)
  assert.equal(image.environment['MILLRACE_HTTP'], '0.0.0.0:8080')
  await assert.rejects(run(node ?? '', args), 'nobody listens any more')
})

test('without a token the image refuses to listen to other machines', async () => {
  await using container = new Container(['run', '/jobs/none.ts'], { MILLRACE_HTTP_TOKEN: '' })

  const { code, log } = await container.command.ended

  assert.equal(code, 2, log)
})

test(
  'the sample job counts visits, is saved and stopped, and is restored from the savepoint: each count comes once',
  { skip: skipWithoutKafka() },
  async () => {
    const { bootstrap } = await sharedKafka()
    const [input, output] = [await freshTopic(bootstrap, 4), await freshTopic(bootstrap, 4)]
    const { services } = parse(await readFile(join(project, 'docker/compose.yaml'), 'utf8')) as {
      services: Record<string, { command: string[]; environment: Record<string, string | number> }>
    }
    const start = (name: string, more: Readonly<Record<string, string>>): Container => {
      const { command = [], environment = {} } = services[name] ?? {}
      const own = Object.fromEntries(
        Object.entries(environment)
          .map(([key, value]): [string, string] => [key, String(value)])
          .filter(([, value]) => !value.startsWith('${')),
      )
      const given = JSON.parse(own['MILLRACE_PARAMS'] ?? '{}') as object
      const here = { brokers: [bootstrap], topic: input, input, output, visitsPerSecond: 4000 }
      const params = Object.fromEntries(
        Object.entries(here).filter(([key]) => Object.hasOwn(given, key)),
      )
      return new Container(
        command.map((word) => word.replace(/^\/jobs/, join(root, 'jobs'))),
        {
          ...own,
          MILLRACE_CHECKPOINT_INTERVAL: '500ms',
          MILLRACE_PARAMS: JSON.stringify(params),
          ...more,
        },
      )
    }
    const written = async (container: Container): Promise<number> => {
      const response = await container.call('GET', '/v1/job')
      return response.ok ? ((await response.json()) as JobReport).recordsWritten : 0
    }
    await using visits = start('visits', {})
    await using counts = start('page-counts', {})
    await until('the job counts', async () => (await written(counts)) >= 20)

    const saved = await counts.call('POST', '/v1/savepoint')
    const directory = join(root, 'data', 'last')
    const stopped = await counts.call('POST', '/v1/stop', { savepoint: directory })
    const ended = await counts.command.ended
    const { savepoint } = (await stopped.json()) as StopReply
    await using restored = start('page-counts', { MILLRACE_FROM: savepoint?.path ?? '' })
    await until('it counts on', async () => (await written(restored)) >= 20)
    const report = (await (await restored.call('GET', '/v1/job')).json()) as JobReport
    restored.command.signal('SIGTERM')
    visits.command.signal('SIGTERM')
    const [last] = await Promise.all([restored.command.ended, visits.command.ended])

    assert.equal(saved.status, 200)
    assert.ok(((await saved.json()) as SavepointReply).path.includes('page-counts'))
    assert.equal(ended.code, 0, ended.log)
    assert.ok(savepoint?.path.startsWith(directory))
    assert.equal(report.restored?.kind, 'savepoint')
    assert.equal(last.code, 0, last.log)
    const rows = (await committedValues(bootstrap, output)).map(
      (text) => JSON.parse(text) as { page: string; from: string; visits: number },
    )
    const byWindow = new Map<string, typeof rows>()
    for (const row of rows) byWindow.set(row.from, [...(byWindow.get(row.from) ?? []), row])
    assert.ok(byWindow.size >= 2 * 4)
    for (const [from, ofWindow] of byWindow) {
      const pages = ofWindow.map(({ page }) => page)
      assert.equal(new Set(pages).size, pages.length, `${from}: ${pages.join()}`)
      // one visit every 5 ms for 10 s
      assert.equal(
        ofWindow.reduce((sum, { visits: count }) => sum + count, 0),
        2000,
        from,
      )
    }
  },
)

function readImage(dockerfile: string): Image {
  const joined = dockerfile.replaceAll(/\\\n\s*/g, '')
  const stage = joined.slice(joined.lastIndexOf('\nFROM '))
  const instruction = (name: string): string =>
    new RegExp(`^${name} (.*)$`, 'm').exec(stage)?.[1] ?? ''
  const words = (text: string): string[] => JSON.parse(text.slice(text.indexOf('['))) as string[]
  return {
    environment: Object.fromEntries(
      instruction('ENV')
        .split(/\s+/)
        .map((pair) => pair.split('=') as [string, string]),
    ),
    copies: [...stage.matchAll(/^COPY (?:--from=\w+ )?(\S+) (\S+)$/gm)].map(
      ([, from = '', to = '']) => [from, to.startsWith('/') ? to : join('/app', to)] as const,
    ),
    entryPoint: words(instruction('ENTRYPOINT')),
    healthCheck: words(instruction('HEALTHCHECK')),
  }
}

/** What `npm ci --omit=dev` installs, as the lock file says. */
async function copyPackages(target: string): Promise<void> {
  const lock = JSON.parse(await readFile(join(project, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean; optional?: boolean; devOptional?: boolean }>
  }
  for (const [path, { dev, devOptional, optional }] of Object.entries(lock.packages)) {
    if (!path.startsWith('node_modules/') || dev === true || devOptional === true) continue
    if (path.slice(1).includes('/node_modules/')) continue
    try {
      await cp(join(project, path), join(target, path.slice('node_modules/'.length)), {
        recursive: true,
      })
    } catch (error) {
      // one for another system
      if (optional !== true) throw error
    }
  }
}

async function copyTo(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true })
  await cp(join(project, from), to.endsWith('/') ? join(to, from) : to, { recursive: true })
}
