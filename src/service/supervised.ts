/**
 * How a supervisor and the process of the job know each other.
 *
 *   supervisor -> job   the environment variable `SUPERVISED`: JSON of `SupervisedStart`. The job takes it out of its environment.
 *   job -> supervisor   messages over the IPC channel of `node:child_process`: `SupervisedMessage`
 *   everything else     the control port of the job (control-protocol.ts), whose entry is one of the messages
 *
 * Invariants
 *  - The job says which checkpoints its directory has before it takes any, and goes on only when that has left the process. So a
 *    supervisor whose job was started from a savepoint, or with nothing, knows after a crash whether a newer checkpoint is the job's
 *    own, to go on from, or one that was to be left behind.
 *  - When the channel closes, the supervisor is gone, and the job ends at once: another supervisor may already start it.
 */
import { z } from 'zod'
import type { RunEntry } from './run-registry.ts'

export const SUPERVISED = 'MILLRACE_SUPERVISED'

export interface SupervisedStart {
  /** The newest checkpoint of the directory before the first process of this run; 0: none. Undefined: not known, none has started. */
  readonly newestBefore?: number | undefined
}

export type SupervisedMessage =
  | { readonly kind: 'begins'; readonly job: string; readonly newestBefore: number }
  | { readonly kind: 'control'; readonly entry: RunEntry }

const startSchema: z.ZodType<SupervisedStart> = z.object({
  newestBefore: z.int().min(0).optional(),
})

/** What a supervisor says to this process; undefined where there is none. Takes it out of `environment`. */
export function takeSupervised(
  environment: Record<string, string | undefined>,
): SupervisedStart | undefined {
  const text = environment[SUPERVISED]
  delete environment[SUPERVISED]
  if (text === undefined || process.send === undefined) return undefined
  return startSchema.parse(JSON.parse(text))
}

/** Settles when it has left the process, or there is nobody any more who would read it. */
export function tellSupervisor(message: SupervisedMessage): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) resolve()
    else process.send(message, undefined, undefined, () => resolve())
  })
}

/** What a restarted process begins with. */
export function resumedFrom(
  from: string | undefined,
  { newestBefore, newestNow }: { newestBefore: number | undefined; newestNow: number },
): string | undefined {
  if (newestBefore === undefined) return from
  // ids only grow, also where checkpoints were forgotten
  return newestNow > newestBefore ? 'latest' : from
}
