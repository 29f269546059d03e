/** One life of the process that is killed, seen from the test. */
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ChildMessage, ChildOrder } from './child.ts'

/** On a machine that is busy. */
const END_MS_MAX = 90_000

const program = fileURLToPath(new URL(`./child${extname(import.meta.url)}`, import.meta.url))

export class Life {
  readonly log: string[] = []
  /** Settles when it is dead or has ended, with what it said last. */
  readonly ended: Promise<ChildMessage | undefined>
  readonly #child: ChildProcess
  #running: Extract<ChildMessage, { readonly kind: 'running' }> | undefined
  #last: ChildMessage | undefined
  #isOver = false

  /** `temporary`: where it puts its working files; `flags`: for Node. */
  constructor(order: ChildOrder, temporary: string, flags: readonly string[] = []) {
    this.#child = fork(program, [], {
      execArgv: ['--enable-source-maps', ...flags],
      env: { ...process.env, TMPDIR: temporary },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    this.#child.on('message', (message: ChildMessage) => {
      if (message.kind === 'log') this.log.push(message.text)
      else this.#last = message
      if (message.kind === 'running') this.#running = message
    })
    this.ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject)
      this.#child.once('close', () => {
        this.#isOver = true
        resolve(this.#last)
      })
    })
    this.#child.send(order)
  }

  /** What it said when all its subtasks ran; undefined before. */
  get running(): Extract<ChildMessage, { readonly kind: 'running' }> | undefined {
    return this.#running
  }

  get isOver(): boolean {
    return this.#isOver
  }

  get last(): ChildMessage | undefined {
    return this.#last
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** What it said last; fails where it does not end by itself. */
  async end(): Promise<ChildMessage | undefined> {
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      this.signal('SIGKILL')
    }, END_MS_MAX)
    const last = await this.ended
    clearTimeout(timer)
    assert(!isLate, `It did not end; it said ${JSON.stringify(last)} ${this.log.join('\n')}`)
    return last
  }

  /** Settles when it is gone. */
  async kill(): Promise<void> {
    this.signal('SIGKILL')
    await this.ended
  }
}
