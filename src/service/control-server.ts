/**
 * The port by which a running job is asked and told from outside, on the loopback interface. Routes: control-protocol.ts.
 *
 * Every request must have the token. What the job throws is answered as data; nothing that a request holds can end the process.
 * Runs on the coordinator's thread: a few requests a minute.
 */
import { timingSafeEqual } from 'node:crypto'
import fastify from 'fastify'
import type { FastifyInstance, FastifyPluginCallback } from 'fastify'
import type { z } from 'zod'
import { EngineError, assert, isEngineError, toErrorData } from '../core/errors.ts'
import { issueText } from '../core/schema.ts'
import type {
  CheckpointReply,
  ErrorReply,
  JobReport,
  SavepointReply,
  StopReply,
  StopRequest,
} from './control-protocol.ts'
import {
  CONTROL_PREFIX,
  METRICS_TYPE,
  emptyRequest,
  savepointRequest,
  stopRequest,
} from './control-protocol.ts'

/** A job as the control port sees it. */
export interface ControlledJob {
  report(): JobReport | Promise<JobReport>
  /** In the format of Prometheus. */
  metrics(): Promise<string>
  savepoint(directory: string | undefined): Promise<SavepointReply>
  checkpoint(): Promise<CheckpointReply>
  stop(request: StopRequest): Promise<StopReply>
  cancel(): Promise<void>
}

export interface ControlServer {
  readonly address: string
  readonly port: number
  /** Waits for the answers under way. */
  close(): Promise<void>
}

const LOOPBACK = '127.0.0.1'
const BODY_BYTES_MAX = 64 * 1024

/** Opens the port; 0: any that is free. */
export async function openControlServer(
  job: ControlledJob,
  { port, token }: { readonly port: number; readonly token: string },
): Promise<ControlServer> {
  const server = fastify({ bodyLimit: BODY_BYTES_MAX })
  await server.register(controlRoutes(job, token), { prefix: CONTROL_PREFIX })
  server.setNotFoundHandler((request, reply) => {
    reply.code(404).send(refusal(`There is no ${request.method} ${request.url} here`))
  })
  await server.listen({ host: LOOPBACK, port })
  return { address: LOOPBACK, port: portOf(server), close: () => server.close() }
}

/** The routes, for any server. */
export function controlRoutes(job: ControlledJob, token: string): FastifyPluginCallback {
  return (routes, _options, done) => {
    routes.addHook('onRequest', async (request, reply) => {
      if (isSame(request.headers.authorization ?? '', `Bearer ${token}`)) return
      await reply.code(401).send(refusal('The token is missing or wrong'))
    })
    routes.setErrorHandler((error, _request, reply) => {
      reply.code(statusOf(error)).send(errorReply(error))
    })
    routes.get('/job', async () => job.report())
    routes.get('/metrics', async (_request, reply) => {
      reply.type(METRICS_TYPE)
      return job.metrics()
    })
    routes.post('/savepoint', async ({ body }) =>
      job.savepoint(decode(savepointRequest, body).directory),
    )
    routes.post('/checkpoint', async ({ body }) => {
      decode(emptyRequest, body)
      return job.checkpoint()
    })
    routes.post('/stop', async ({ body }) => job.stop(decode(stopRequest, body)))
    routes.post('/cancel', async ({ body }) => {
      decode(emptyRequest, body)
      await job.cancel()
      return {}
    })
    done()
  }
}

function decode<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body ?? {})
  if (result.success) return result.data
  const list = result.error.issues.map(issueText).join('; ')
  throw new EngineError('CONTROL_REFUSED', `The request is not right: ${list}`)
}

function isSame(given: string, wanted: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(wanted)]
  return a.length === b.length && timingSafeEqual(a, b)
}

/** What is no error of the engine is fastify's, with a status of its own, or unexpected. */
function statusOf(error: unknown): number {
  if (isEngineError(error)) return error.code === 'CONTROL_REFUSED' ? 400 : 409
  const status = (error as { readonly statusCode?: number }).statusCode
  return status ?? 500
}

function errorReply(error: unknown): ErrorReply {
  if (isEngineError(error)) return { error: withoutStack(toErrorData(error)) }
  const text = error instanceof Error ? error.message : String(error)
  return statusOf(error) < 500 ? refusal(text) : { error: withoutStack(toErrorData(error)) }
}

export function refusal(text: string): ErrorReply {
  return { error: toErrorDataOf(text) }
}

function toErrorDataOf(text: string): ErrorReply['error'] {
  return withoutStack(toErrorData(new EngineError('CONTROL_REFUSED', text)))
}

function withoutStack({ stack: _stack, ...data }: ErrorReply['error']): ErrorReply['error'] {
  return data
}

/** The port that a server listens to. */
export function portOf(server: FastifyInstance): number {
  const address = server.server.address()
  assert(typeof address === 'object' && address !== null, 'The control server listens to a port')
  return address.port
}
