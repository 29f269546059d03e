/**
 * What a job as a service answers to the world, over HTTP. It lives in the supervisor, so it also answers while the job is started
 * again.
 *
 *   GET  /health      200, or 503 with what is wrong (health.ts); for liveness
 *   GET  /ready       200 while the job runs, else 503
 *   GET  /metrics     for Prometheus
 *   /v1/…             control-protocol.ts, for whoever has the token
 *
 * Health and metrics need no token: they tell figures, not records.
 */
import fastify from 'fastify'
import { EngineError, toEngineError } from '../core/errors.ts'
import { CONTROL_PREFIX, METRICS_TYPE } from './control-protocol.ts'
import { controlRoutes, portOf, refusal } from './control-server.ts'
import type { ControlledJob, ControlServer } from './control-server.ts'

export interface Verdict {
  readonly isWell: boolean
  readonly job: string | null
  readonly status: string
  readonly troubles: readonly string[]
  readonly restartCount: number
}

export interface ServiceJob extends ControlledJob {
  health(): Verdict
  readiness(): Verdict
}

export interface ServicePlace {
  readonly host: string
  /** 0: any that is free. */
  readonly port: number
  readonly token: string
}

const BODY_BYTES_MAX = 64 * 1024

export async function openServiceServer(
  job: ServiceJob,
  { host, port, token }: ServicePlace,
): Promise<ControlServer> {
  const server = fastify({ bodyLimit: BODY_BYTES_MAX })
  await server.register(controlRoutes(job, token), { prefix: CONTROL_PREFIX })
  server.get('/health', async (_request, reply) => {
    const verdict = job.health()
    return reply.code(verdict.isWell ? 200 : 503).send(verdict)
  })
  server.get('/ready', async (_request, reply) => {
    const verdict = job.readiness()
    return reply.code(verdict.isWell ? 200 : 503).send(verdict)
  })
  server.get('/metrics', async (_request, reply) => {
    reply.type(METRICS_TYPE)
    return job.metrics()
  })
  server.setNotFoundHandler((request, reply) => {
    reply.code(404).send(refusal(`There is no ${request.method} ${request.url} here`))
  })
  try {
    await server.listen({ host, port })
  } catch (error) {
    throw new EngineError(
      'CONTROL_UNREACHABLE',
      `The address ${host}:${port} for HTTP cannot be opened: ${toEngineError(error).message}`,
      { cause: error },
    )
  }
  return { address: host, port: portOf(server), close: () => server.close() }
}
