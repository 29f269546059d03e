/** The client of a schema registry against an HTTP server that answers as Confluent's does. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, Server } from 'node:http'
import { after, before, beforeEach, describe, test } from 'node:test'
import { isEngineError } from 'millrace'
import { confluentRegistry, registryJson } from 'millrace/schema-registry'

interface Reply {
  readonly status: number
  readonly body: object
}

describe('a registry over HTTP', { timeout: 60_000 }, () => {
  let server: Server
  let url: string
  let requests: { line: string; authorization: string | undefined; body: string }[] = []
  let reply: (line: string) => Reply

  before(async () => {
    server = createServer((request, response) => {
      void readAll(request).then((body) => {
        const line = `${request.method} ${request.url}`
        requests.push({ line, authorization: request.headers.authorization, body })
        const { status, body: answer } = reply(line)
        response.writeHead(status, { 'content-type': 'application/json' })
        response.end(JSON.stringify(answer))
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    assert.ok(typeof address === 'object' && address !== null)
    url = `http://127.0.0.1:${address.port}/registry`
  })
  after(() => server.close())
  beforeEach(() => {
    requests = []
  })

  test('schemas are asked for once, with name and password', async () => {
    reply = () => ({ status: 200, body: { schema: '"string"' } })
    const registry = confluentRegistry({ url, username: 'key', password: 'hush' })

    const answers = await Promise.all([registry.schemaOf(7), registry.schemaOf(7)])
    answers.push(await registry.schemaOf(7))

    assert.deepEqual(answers, Array(3).fill({ type: 'AVRO', schema: '"string"' }))
    assert.deepEqual(requests, [
      {
        line: 'GET /registry/schemas/ids/7',
        authorization: `Basic ${Buffer.from('key:hush').toString('base64')}`,
        body: '',
      },
    ])
  })

  test('a schema is registered, or only looked up', async () => {
    reply = () => ({ status: 200, body: { id: 3 } })
    const schema = { type: 'JSON', schema: '{}' } as const
    const token = (): string => 'abc'

    assert.equal(await confluentRegistry({ url }).idOf('a b-value', schema), 3)
    assert.equal(await confluentRegistry({ url, token, register: false }).idOf('s', schema), 3)

    assert.deepEqual(
      requests.map(({ line, authorization }) => [line, authorization]),
      [
        ['POST /registry/subjects/a%20b-value/versions', undefined],
        ['POST /registry/subjects/s', 'Bearer abc'],
      ],
    )
    assert.deepEqual(JSON.parse(requests[0]?.body ?? ''), { schema: '{}', schemaType: 'JSON' })
  })

  test('what may pass is tried again; the next registry is asked', async () => {
    let count = 0
    reply = () =>
      ++count < 3 ? { status: 503, body: {} } : { status: 200, body: { schema: '"int"' } }
    const registry = confluentRegistry({ url: ['http://127.0.0.1:1', url] })

    assert.deepEqual(await registry.schemaOf(1), { type: 'AVRO', schema: '"int"' })
    assert.equal(count, 3)
  })

  test('an unknown id is undefined, and asked for again', async () => {
    reply = () => ({ status: 404, body: { error_code: 40403 } })
    const registry = confluentRegistry({ url })
    assert.equal(await registry.schemaOf(1), undefined)
    reply = () => ({ status: 200, body: { schema: '"int"' } })
    assert.notEqual(await registry.schemaOf(1), undefined)
  })

  test('a refused login is not tried again, and shows no secret', async () => {
    reply = () => ({ status: 401, body: { message: 'hush is wrong' } })
    const withName = confluentRegistry({ url, username: 'key', password: 'hush' })
    const inUrl = confluentRegistry({ url: url.replace('//', '//key:hush@') })
    for (const registry of [withName, inUrl]) {
      requests = []
      await assert.rejects(registry.schemaOf(1), (error: unknown) => {
        assert.ok(isEngineError(error) && error.code === 'SCHEMA_REGISTRY_FAILED')
        assert.equal(error.retryable, false)
        assert.match(error.message, /refused the login/)
        assert.doesNotMatch(`${error.message} ${String(error.cause)} ${error.stack}`, /hush/)
        return true
      })
      assert.equal(requests.length, 1)
      assert.equal(
        requests[0]?.authorization,
        `Basic ${Buffer.from('key:hush').toString('base64')}`,
      )
    }
    assert.throws(
      () => confluentRegistry({ url: 'hush@nowhere' }),
      (error: unknown) => error instanceof Error && !error.message.includes('hush'),
    )
  })

  test('JSON is written with the id of its schema, and read without asking', async () => {
    reply = () => ({ status: 200, body: { id: 258 } })
    const registry = confluentRegistry({ url })
    const format = registryJson<{ n: number }>({
      registry,
      schema: { type: 'object' },
      subject: 's',
    })
    await format.openEncoder?.()
    const bytes = format.encode({ n: 1 })
    assert.equal(Buffer.from(bytes).toString('latin1'), '\0\0\0\u0001\u0002{"n":1}')
    assert.deepEqual(format.decode(bytes), { n: 1 })
    assert.equal(requests.length, 1)
    assert.throws(() => format.decode(new Uint8Array([0x7b])), /too few/)
  })
})

async function readAll(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}
