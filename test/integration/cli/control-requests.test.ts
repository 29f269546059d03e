/** The control port and the entries by which it is found, in this process: what is refused, and what is taken for dead. */
import assert from 'node:assert/strict'
import { readdir, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { test } from 'node:test'
import { EngineError } from '../../../src/core/errors.ts'
import { findJob, listJobs } from '../../../src/service/control-client.ts'
import type { JobReport } from '../../../src/service/control-protocol.ts'
import { openControlServer } from '../../../src/service/control-server.ts'
import type { ControlServer, ControlledJob } from '../../../src/service/control-server.ts'
import { registerRun } from '../../../src/service/run-registry.ts'
import type { RunEntry } from '../../../src/service/run-registry.ts'
import { Directory } from '../../support/running-jobs.ts'

const TOKEN = 'secret'

function jobWith(own: Partial<ControlledJob> = {}): ControlledJob {
  return {
    metrics: async () => '',
    report: () => ({ job: 'orders', runId: 'run-1', status: 'running' }) as JobReport,
    savepoint: async (directory) => ({ path: `${directory ?? '/default'}/1`, checkpointId: 1 }),
    checkpoint: async () => ({ checkpointId: 2 }),
    stop: async () => ({
      status: 'stopped',
      recordsRead: 1,
      recordsWritten: 1,
      lateRecords: 0,
      checkpoints: 1,
    }),
    cancel: async () => {},
    ...own,
  }
}

function entryOf({ address, port }: ControlServer, own: Partial<RunEntry> = {}): RunEntry {
  return {
    job: 'orders',
    runId: 'run-1',
    pid: process.pid,
    host: hostname(),
    address,
    port,
    token: TOKEN,
    startedAtMs: 0,
    ...own,
  }
}

test('a request that is not right is refused with its mistake, and the port goes on', async () => {
  const server = await openControlServer(jobWith(), { port: 0, token: TOKEN })
  const ask = async (method: string, path: string, body?: string): Promise<[number, string]> => {
    const response = await fetch(`http://${server.address}:${server.port}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${TOKEN}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body }),
    })
    const { error } = (await response.json()) as { error?: { code: string; message: string } }
    return [response.status, `${error?.code ?? ''} ${error?.message ?? ''}`]
  }
  const table: readonly (readonly [string, string, string | undefined, number, RegExp])[] = [
    ['POST', '/v1/stop', '{"drain": 1}', 400, /CONTROL_REFUSED .*drain: /],
    ['POST', '/v1/stop', '{"drian": true}', 400, /CONTROL_REFUSED .*"drian"/],
    ['POST', '/v1/savepoint', '{"directory": "here"}', 400, /must be an absolute path/],
    ['POST', '/v1/savepoint', '{', 400, /CONTROL_REFUSED /],
    ['POST', '/v1/cancel', '[]', 400, /CONTROL_REFUSED /],
    ['POST', '/v1/stop', `{"savepoint": "/${'x'.repeat(70_000)}"}`, 413, /CONTROL_REFUSED /],
    ['GET', '/v1/jobs', undefined, 404, /There is no GET \/v1\/jobs here/],
    ['GET', '/v1/job', undefined, 200, /^ $/],
  ]
  try {
    for (const [method, path, body, status, said] of table) {
      const [actual, text] = await ask(method, path, body)
      assert.equal(actual, status, `${method} ${path}: ${text}`)
      assert.match(text, said)
    }
  } finally {
    await server.close()
  }
})

test('a found job does what it is told; what it throws is told with its code', async () => {
  await using directory = await Directory.make()
  const fails = async (): Promise<never> => {
    throw new EngineError('CHECKPOINT_FAILED', 'the disk is full')
  }
  const server = await openControlServer(jobWith({ checkpoint: fails }), { port: 0, token: TOKEN })
  const unregister = await registerRun(directory.at('run'), entryOf(server))
  try {
    const job = await findJob(directory.at('run'), 'orders')

    assert.deepEqual(await job.savepoint('/sp'), { path: '/sp/1', checkpointId: 1 })
    assert.equal((await job.stop({ drain: true })).status, 'stopped')
    await job.cancel()
    await assert.rejects(job.checkpoint(), {
      code: 'CONTROL_REFUSED',
      message: /Job 'orders' .* refuses: CHECKPOINT_FAILED: the disk is full/,
    })
    await assert.rejects(findJob(directory.at('run'), 'order'), {
      code: 'CONTROL_UNREACHABLE',
      message: /there are: orders/,
    })
  } finally {
    unregister()
    await server.close()
  }
  assert.deepEqual(await readdir(directory.at('run')), [])
})

test('entries of dead processes go, also where their process id lives again; those of other hosts stay', async () => {
  await using directory = await Directory.make()
  const server = await openControlServer(jobWith(), { port: 0, token: TOKEN })
  const gone = await openControlServer(jobWith(), { port: 0, token: TOKEN })
  await gone.close()
  const at = directory.at('run')
  try {
    await registerRun(at, entryOf(server, { job: 'here' }))
    await registerRun(at, entryOf(gone, { job: 'nobody-listens' }))
    await registerRun(at, entryOf(server, { job: 'somebody-else', runId: 'run-0' }))
    await registerRun(at, entryOf(gone, { job: 'dead', pid: 2 ** 30 }))
    await registerRun(at, entryOf(gone, { job: 'far', host: 'another-host' }))
    await writeFile(directory.at('run', 'garbage.json'), '{"job":')

    const jobs = await listJobs(at)

    assert.deepEqual(
      jobs.map(({ entry }) => entry.job),
      ['here'],
    )
    const left = (await readdir(at)).map((name) => name.replace(/-\d+\.json$|\.json$/, ''))
    assert.deepEqual(left.sort(), ['far', 'garbage', 'here'])
  } finally {
    await server.close()
  }
})
