/** Secrets of a job and of its operation appear in no plan, mistake, log line or metric. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { job, text, type } from 'millrace'
import { kafkaSink, kafkaSource } from 'millrace/kafka'
import {
  commandLineLayer,
  configInvalid,
  environmentLayer,
  fileLayer,
  mergeLayers,
} from '../../../src/cli/configuration.ts'
import { jsonLogger } from '../../../src/cli/json-log.ts'
import { CommandLog, errorText } from '../../../src/cli/log-lines.ts'
import { Secrets } from '../../../src/cli/secrets.ts'
import { EngineError } from '../../../src/core/errors.ts'
import { JobFigures } from '../../../src/job/job-figures.ts'
import { planExecution } from '../../../src/plan/execution-plan.ts'
import { explainPlan } from '../../../src/plan/explain.ts'
import type { JobReport } from '../../../src/service/control-protocol.ts'
import { MetricsPage, jobFamilies, jobSamples } from '../../../src/service/metrics.ts'

const PASSWORD = 'correct-horse-battery'
const params = {
  brokers: ['localhost:9092'],
  sasl: { mechanism: 'plain', username: 'reader', password: PASSWORD },
  apiKey: 'k-123456789',
  nested: [{ clientSecret: 'inner-secret' }],
  topic: 'orders',
}
const definition = job('orders', { params: type<typeof params>() }, (env) => {
  const { brokers, topic } = env.params
  const sasl = { mechanism: 'plain', username: 'reader', password: PASSWORD } as const
  env
    .from('in', kafkaSource({ brokers, sasl, topics: [topic], value: text() }))
    .to('out', kafkaSink({ brokers, sasl, topic, value: text() }))
})
const plan = planExecution(definition.build(params), { parallelism: 1, maxParallelism: 8 })

test('plans in all forms hold no password', () => {
  for (const format of ['text', 'json', 'mermaid'] as const) {
    const explained = explainPlan(plan, format)
    assert.match(explained, /kafka/)
    assert.ok(!explained.includes(PASSWORD), format)
  }
})

test('metrics hold no password, also after a failure whose message has it', async () => {
  const figures = new JobFigures(plan)
  figures.onRestart({ message: `login with ${PASSWORD} failed`, atMs: 1 })
  const report = {
    job: 'orders',
    runId: 'r',
    status: 'running',
    startedAtMs: 1,
    lastCheckpoint: null,
    checkpoints: null,
    checkpointCount: 0,
    checkpointFailureCount: 0,
    restartCount: figures.restarts,
    lastFailure: figures.lastFailure,
    tasks: figures.tasks(),
  } as unknown as JobReport
  const subtask = {
    taskId: 0,
    subtaskIndex: 0,
    recordsIn: 1,
    recordsOut: 1,
    watermarkMs: 1,
    stateCells: 0,
    watermarks: [],
    gauges: {},
    counts: { 'out.recordsWritten': 1 },
  }

  const page = await new MetricsPage(jobFamilies, 'millrace_').text(
    jobSamples(report, [subtask], 2),
  )

  assert.match(page, /millrace_job_restarts_total\{job="orders"\} 1/)
  assert.ok(!page.includes(PASSWORD))
})

test('a mistake in a parameter or a token does not show it', () => {
  const layers = [
    fileLayer({ params: PASSWORD, http: { token: 123_456_789 } }, 'run.yaml', '/'),
    environmentLayer({ MILLRACE_PARAMS: `{"password": "${PASSWORD}"` }),
    commandLineLayer(
      new Map<string, string | readonly string[]>([
        ['--params', [`password:=${PASSWORD}`, `=${PASSWORD}`]],
      ]),
    ),
  ]
  const { mistakes } = mergeLayers(layers, { isJobKnown: false })

  const said = errorText(configInvalid(mistakes))

  assert.equal(mistakes.length, 5, said)
  assert.ok(!said.includes(PASSWORD), said)
  assert.ok(!said.includes('123456789'), said)
})

test('the log hides the token, secret parameters and passwords in addresses, in text and in JSON', () => {
  const written: string[] = []
  const log = new CommandLog(
    (line) => written.push(line),
    () => new Date(0),
  )
  log.secrets.add('a-token-of-http')
  log.secrets.addParams(params)
  const json = jsonLogger((line) => log.secrets.hide(line), {
    write: (line) => void written.push(line),
  })
  const error = new EngineError('KAFKA_UNREACHABLE', `reader:${PASSWORD} was refused`, {
    cause: new Error(PASSWORD),
  })

  for (const logger of [log, json]) {
    logger.error(errorText(error))
    logger.warn('k-123456789 and inner-secret and a-token-of-http')
    logger.info('see amqp://guest:guest-password@broker:5672/x', { of: PASSWORD })
    logger.info('reader reads orders of localhost:9092 by plain')
  }

  const said = written.join('')
  assert.equal(written.length, 8)
  for (const secret of [
    PASSWORD,
    'k-123456789',
    'inner-secret',
    'a-token-of-http',
    'guest-password',
  ]) {
    assert.ok(!said.includes(secret), `${said}\nhas ${secret}`)
  }
  assert.equal(said.match(/reader:\*\*\* was refused/g)?.length, 2)
  assert.equal(said.match(/amqp:\/\/\*\*\*@broker:5672/g)?.length, 2)
  assert.equal(said.match(/reader reads orders of localhost:9092 by plain/g)?.length, 2)
})

test('what is short is no secret to look for: it would blot out the log', () => {
  const secrets = new Secrets()
  secrets.addParams({ password: 'a', token: '12345' })

  assert.equal(secrets.hide('a banana of 12345'), 'a banana of 12345')
})
