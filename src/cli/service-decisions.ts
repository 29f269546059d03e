/** From a configuration to how the job is kept running and what it answers over HTTP. Pure. */
import { ms } from '../core/duration.ts'
import type { RestartBounds } from '../service/restart-bounds.ts'
import type { Configuration } from './settings.ts'
import { HTTP_TOKEN_FLAG } from './settings.ts'

export interface ServiceDecisions {
  /** Undefined: the job runs in this process. */
  readonly supervisor:
    | {
        readonly bounds: RestartBounds
        /** Per thread, in MiB; undefined: what Node takes by itself. */
        readonly maxOldSpaceMiB: number | undefined
        readonly http:
          { readonly host: string; readonly port: number; readonly token?: string } | undefined
      }
    | undefined
  readonly stopDeadlineMs: number
  readonly mistakes: readonly string[]
}

const LOOPBACK = '127.0.0.1'
const TOKEN_LENGTH_MIN = 16

export function decideService(configuration: Configuration): ServiceDecisions {
  const { supervise, supervisor = {}, http = {}, stopDeadline = '30s' } = configuration
  const address = addressOf(http.listen)
  const isSupervised = supervise ?? address !== undefined
  const mistakes: string[] = []
  if (address !== undefined && !isSupervised) {
    mistakes.push(
      'HTTP is answered by the supervisor, so that it answers while the job is started again: leave --no-supervise out, or use --http off',
    )
  }
  if (address === undefined && http.token !== undefined) {
    mistakes.push(`${HTTP_TOKEN_FLAG} has no meaning without --http`)
  }
  if (address !== undefined && http.token === undefined && !isLoopback(address.host)) {
    mistakes.push(
      `--http ${address.host}:${address.port} can be reached from other machines, so it needs a token: set MILLRACE_HTTP_TOKEN, or listen on ${LOOPBACK}`,
    )
  }
  if (http.token !== undefined && http.token.length < TOKEN_LENGTH_MIN) {
    mistakes.push(`${HTTP_TOKEN_FLAG}: a token has at least ${TOKEN_LENGTH_MIN} characters`)
  }
  if (!isSupervised && Object.keys(supervisor).length > 0) {
    mistakes.push(
      `supervisor.${Object.keys(supervisor).join(', supervisor.')}: no meaning without --supervise`,
    )
  }
  const bounds = {
    restartsMax: supervisor.restartsMax ?? 10,
    withinMs: ms(supervisor.within ?? '10min'),
    delayMs: ms(supervisor.delay ?? '1s'),
    delayMaxMs: ms(supervisor.delayMax ?? '1min'),
  }
  if (bounds.delayMs > bounds.delayMaxMs) {
    mistakes.push('--supervisor-delay is longer than --supervisor-delay-max')
  }
  return {
    supervisor: isSupervised
      ? {
          bounds,
          maxOldSpaceMiB: supervisor.maxOldSpaceMiB,
          http:
            address === undefined
              ? undefined
              : { ...address, ...(http.token === undefined ? {} : { token: http.token }) },
        }
      : undefined,
    stopDeadlineMs: ms(stopDeadline),
    mistakes,
  }
}

/** What the process of the job is started with: the same, but for what is the supervisor's own. */
export function jobArguments(args: readonly string[]): string[] {
  const own: string[] = []
  for (let index = 0; index < args.length; index++) {
    const text = args[index] as string
    // everybody on the machine can read the arguments of a process
    if (text === HTTP_TOKEN_FLAG) index += 1
    else if (!text.startsWith(`${HTTP_TOKEN_FLAG}=`)) own.push(text)
  }
  return [...own, '--no-supervise', '--http', 'off']
}

/** A port alone is one of this machine. */
function addressOf(
  listen: string | number | undefined,
): { readonly host: string; readonly port: number } | undefined {
  if (listen === undefined || listen === 'off') return undefined
  const text = String(listen)
  const at = text.lastIndexOf(':')
  if (at < 0) return { host: LOOPBACK, port: Number(text) }
  return { host: text.slice(0, at).replace(/^\[(.*)\]$/, '$1'), port: Number(text.slice(at + 1)) }
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}
