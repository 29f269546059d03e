/** Which jobs commands find, and who may tell a job what to do. */
import assert from 'node:assert/strict'
import { chmod, mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { listJobs } from '../../../src/service/control-client.ts'
import { CountingJob } from '../../support/counting-job.ts'

test('two jobs of one name are told apart by process id; one without control port is not found', async () => {
  await using place = await CountingJob.make()
  await using first = place.start('counting.ts', '--threads', '0', '--checkpoint-dir', 'a')
  await using second = place.start('counting.ts', '--threads', '0', '--checkpoint-dir', 'b')
  const alone = ['--checkpoint-dir', 'c', '--control', 'off']
  await using hidden = place.start('counting.ts', '--threads', '0', ...alone)
  await hidden.says('First start')
  for (const { pid } of [first, second]) {
    await place.reportOnce((report) => report.pid === pid && report.status === 'running')
  }

  const both = await place.call('stop', 'counting')
  const one = await place.call('stop', String(second.pid))

  assert.equal(both.code, 4)
  assert.match(
    both.log,
    new RegExp(`\\b(${first.pid}, ${second.pid}|${second.pid}, ${first.pid})\\b`),
  )
  assert.equal(one.out, 'stopped\n')
  assert.equal((await second.ended).code, 0)
  assert.deepEqual(
    (await listJobs(place.options.runDirectory)).map(({ entry }) => entry.pid),
    [first.pid],
  )
})

test('what the job refuses is told by the command; the token is asked for', async () => {
  await using place = await CountingJob.make()
  await using job = place.start('counting.ts', '--threads', '0', '--checkpoint-dir', 'none')
  await place.reportOnce(({ status }) => status === 'running')
  const [name] = await readdir(place.options.runDirectory)
  const path = join(place.options.runDirectory, name ?? '')
  const entry = JSON.parse(await readFile(path, 'utf8')) as { address: string; port: number }
  const url = `http://${entry.address}:${entry.port}/v1/stop`

  const refused = await place.call('savepoint', 'counting')
  const stranger = await fetch(url, { method: 'POST', headers: { authorization: 'Bearer x' } })

  assert.equal(refused.code, 4)
  assert.match(refused.log, /CONTROL_REFUSED: Job 'counting' .* CHECKPOINTS_NOT_CONFIGURED/)
  assert.equal(stranger.status, 401)
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  assert.equal((await stat(place.options.runDirectory)).mode & 0o777, 0o700)
  job.signal('SIGTERM')
  const { code, log } = await job.ended
  assert.equal(code, 0)
  assert.match(log, /its next start begins anew/)
})

test('a directory that others can enter is not used to find jobs; the job runs all the same', async () => {
  await using place = await CountingJob.make()
  await mkdir(place.options.runDirectory)
  await chmod(place.options.runDirectory, 0o777)
  await writeFile(join(place.options.runDirectory, 'bait.json'), '{}')
  await using job = place.start('counting.ts', '--threads', '0')

  await job.says('Other commands will not find this job')
  const list = await place.call('list')

  assert.equal(list.code, 4)
  assert.match(list.log, /must be a directory of this user with mode 0700/)
  job.signal('SIGTERM')
  assert.equal((await job.ended).code, 0)
})
