/**
 * Confluent's schema registry, and what speaks its protocol, over HTTP.
 *
 * Invariants
 *  - An id is asked for once: what a schema registry has given a number to never changes. Two that ask at once share the request.
 *  - What may pass by itself (no connection, 429, 5xx) is tried again, some times; what cannot is not.
 *  - Neither credentials nor answers stand in errors.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { EngineError } from '../../src/core/errors.ts'
import type { RegisteredSchema, SchemaRegistry } from './schema-registry.ts'

export interface ConfluentRegistryOptions {
  /** Of one registry, or of several that stand for one another: asked in turn. */
  readonly url: string | readonly string[]
  /** Basic authentication. */
  readonly username?: string
  readonly password?: string
  /** Called for each request: a bearer token, in place of name and password. */
  readonly token?: () => string | Promise<string>
  /** Whether a schema that its subject does not have yet is registered there, as Java clients do. Default true. */
  readonly register?: boolean
}

const attemptsMax = 6
const backOffMs = 100
const requestMsMax = 10_000
const contentType = 'application/vnd.schemaregistry.v1+json'

/**
 * Schemas of a registry that speaks Confluent's protocol (Confluent, Redpanda, Karapace, Apicurio's `/apis/ccompat/v7`).
 *
 * Fails with `SCHEMA_REGISTRY_FAILED`, and with `OPTION_INVALID` for a URL that is none.
 *
 * @example
 * const registry = confluentRegistry({ url: 'https://registry.example.org', username: 'key', password: secret })
 */
export function confluentRegistry(options: ConfluentRegistryOptions): SchemaRegistry {
  const urls = (typeof options.url === 'string' ? [options.url] : options.url).map(parseUrl)
  if (urls.length === 0) throw new EngineError('OPTION_INVALID', 'url names no schema registry')
  const schemas = new Map<number, Promise<RegisteredSchema | undefined>>()
  const ids = new Map<string, Promise<number>>()
  return {
    schemaOf(id) {
      return once(schemas, id, async () => {
        const answer = await ask(options, urls, `schemas/ids/${id}`)
        return answer === undefined ? undefined : schemaFrom(answer, id)
      })
    },
    idOf(subject, { type, schema }) {
      return once(ids, JSON.stringify([subject, type, schema]), async () => {
        const versions = options.register === false ? '' : '/versions'
        const path = `subjects/${encodeURIComponent(subject)}${versions}`
        const answer = await ask(options, urls, path, {
          schema,
          ...(type === 'AVRO' ? {} : { schemaType: type }),
        })
        const id: unknown = answer?.['id']
        if (typeof id === 'number') return id
        throw new EngineError(
          'SCHEMA_REGISTRY_FAILED',
          `The schema registry has no such schema in the subject '${subject}'; register it there, or let it be registered with register: true`,
          { retryable: false },
        )
      })
    },
  }
}

type Answer = Readonly<Record<string, unknown>>

/** Remembers what came out well, and asks again for what is missing or failed. */
function once<K, V>(known: Map<K, Promise<V>>, key: K, ask: () => Promise<V>): Promise<V> {
  const before = known.get(key)
  if (before !== undefined) return before
  const asked = ask()
  known.set(key, asked)
  asked.then(
    (value) => value === undefined && known.delete(key),
    () => known.delete(key),
  )
  return asked
}

function schemaFrom(
  { schema, schemaType = 'AVRO', references }: Answer,
  id: number,
): RegisteredSchema {
  const isKnown = schemaType === 'AVRO' || schemaType === 'JSON' || schemaType === 'PROTOBUF'
  if (typeof schema !== 'string' || !isKnown) {
    throw failed(`answered with no schema for the id ${id}`, false)
  }
  if (Array.isArray(references) && references.length > 0) {
    throw failed(
      `has references to other schemas in the schema ${id}; they cannot be followed`,
      false,
    )
  }
  return { type: schemaType, schema }
}

/** The answer; undefined where there is no such thing. */
async function ask(
  options: ConfluentRegistryOptions,
  urls: readonly URL[],
  path: string,
  body?: object,
): Promise<Answer | undefined> {
  let failure: EngineError | undefined
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    if (attempt > 0) await sleep(backOffMs * 2 ** (attempt - 1))
    const base = urls[attempt % urls.length] as URL
    const answer = await request(options, base, path, body)
    if (!(answer instanceof EngineError)) return answer
    if (!answer.retryable) throw answer
    failure = answer
  }
  throw failure as EngineError
}

async function request(
  options: ConfluentRegistryOptions,
  base: URL,
  path: string,
  body: object | undefined,
): Promise<Answer | undefined | EngineError> {
  const authorization = await authorizationOf(options, base)
  const where = `${base.host}${base.pathname}${path}`
  try {
    const response = await fetch(new URL(`${base.origin}${base.pathname}${path}`), {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        accept: contentType,
        ...(body === undefined ? {} : { 'content-type': contentType }),
        ...(authorization === undefined ? {} : { authorization }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(requestMsMax),
    })
    const { status } = response
    if (response.ok) return (await response.json()) as Answer
    await response.body?.cancel()
    if (status === 404) return undefined
    if (status === 401 || status === 403) {
      return failed(
        `at ${where} refused the login (${status}); check username and password, or token`,
        false,
      )
    }
    if (status === 409)
      return failed(
        `at ${where} refused the schema: it is not compatible with those before it`,
        false,
      )
    return failed(`at ${where} answered ${status}`, status === 429 || status >= 500)
  } catch (cause) {
    const text = cause instanceof Error ? textOf(cause) : String(cause)
    return failed(`at ${where} does not answer: ${text}`, true, cause)
  }
}

/** `fetch` says no more than that it failed; why is in its cause. */
function textOf(error: Error): string {
  return error.cause instanceof Error ? error.cause.message : error.message
}

async function authorizationOf(
  { username, password = '', token }: ConfluentRegistryOptions,
  base: URL,
): Promise<string | undefined> {
  if (token !== undefined) return `Bearer ${await token()}`
  const name = username ?? decodeURIComponent(base.username)
  if (name === '') return undefined
  const secret = username === undefined ? decodeURIComponent(base.password) : password
  return `Basic ${Buffer.from(`${name}:${secret}`).toString('base64')}`
}

function parseUrl(text: string): URL {
  let url: URL | undefined
  try {
    url = new URL(text.endsWith('/') ? text : `${text}/`)
  } catch {
    // told below, without the text: it may hold a password
  }
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url
  throw new EngineError(
    'OPTION_INVALID',
    `url is none of a schema registry; write it like 'https://registry.example.org:8081'`,
  )
}

function failed(what: string, retryable: boolean, cause?: unknown): EngineError {
  return new EngineError('SCHEMA_REGISTRY_FAILED', `The schema registry ${what}`, {
    retryable,
    ...(cause === undefined ? {} : { cause }),
  })
}
