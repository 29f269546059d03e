/**
 * The process that holds one broker of the tests. Runs beside the test, apart from its process group.
 *
 * Invariants
 *  - The broker never outlives the test: when the channel to the test closes, however the test went, the broker is killed
 *    and its directory removed.
 *  - Each order is answered by one message, after it has been carried out.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { openSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { once } from 'node:events'

/** What the test asks for; `end` sends a signal and waits until the broker is gone. */
export type KeeperOrder =
  | { readonly kind: 'start'; readonly command: string; readonly args: readonly string[] }
  | { readonly kind: 'end'; readonly signal: 'SIGKILL' | 'SIGTERM' }

/** What the keeper says: `done` answers an order, `ended` tells that the broker ended by itself. */
export type KeeperMessage = { readonly kind: 'done' } | { readonly kind: 'ended' }

const [directory, logFile] = process.argv.slice(2)
let broker: ChildProcess | undefined
let isEnding = false

if (process.send !== undefined && directory !== undefined && logFile !== undefined) {
  process.on('message', (order: KeeperOrder) => void carryOut(order, logFile))
  process.on('disconnect', () => void leave(directory))
}

async function carryOut(order: KeeperOrder, log: string): Promise<void> {
  if (order.kind === 'start') start(order.command, order.args, log)
  else await end(order.signal)
  tell({ kind: 'done' })
}

function start(command: string, args: readonly string[], log: string): void {
  const output = openSync(log, 'a')
  broker = spawn(command, args, { stdio: ['ignore', output, output] })
  isEnding = false
  const ended = (): void => {
    if (!isEnding) tell({ kind: 'ended' })
    broker = undefined
  }
  broker.on('exit', ended)
  broker.on('error', ended)
}

async function end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  if (broker === undefined) return
  isEnding = true
  const exit = once(broker, 'exit')
  broker.kill(signal)
  await exit
}

async function leave(data: string): Promise<void> {
  await end('SIGKILL')
  await rm(data, { recursive: true, force: true })
  process.exit()
}

function tell(message: KeeperMessage): void {
  if (process.connected) process.send?.(message)
}
