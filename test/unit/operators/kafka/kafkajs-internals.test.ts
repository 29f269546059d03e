import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { mock, test } from 'node:test'
import { loadKafkajs } from '../../../../operators/kafka/kafkajs-internals.ts'

interface Queue {
  readonly pending: unknown[]
  throttledUntil: number
  readonly throttleCheckTimeoutId: unknown
  checkPendingRequests(): void
  destroy(): void
}

const load = createRequire(import.meta.url)

function newQueue(): Queue {
  const RequestQueue: new (options: object) => Queue = load('kafkajs/src/network/requestQueue')
  return new RequestQueue({ maxInFlightRequests: 0, logger: { debug() {} } })
}

test('the installed kafkajs has what the engine leans on', () => {
  const kafkajs = loadKafkajs()

  assert.equal(loadKafkajs(), kafkajs)
})

test('an idle connection keeps no timer', () => {
  loadKafkajs()
  const queue = newQueue()

  queue.checkPendingRequests()

  assert.equal(queue.throttleCheckTimeoutId, null)
})

test('requests that wait, and a pause that the broker asked for, are still looked after', () => {
  loadKafkajs()
  mock.timers.enable({ apis: ['setTimeout', 'Date'] })
  const waiting = newQueue()
  const paused = newQueue()

  waiting.pending.push({})
  waiting.checkPendingRequests()
  paused.throttledUntil = Date.now() + 1000
  paused.checkPendingRequests()

  assert.notEqual(waiting.throttleCheckTimeoutId, null)
  assert.notEqual(paused.throttleCheckTimeoutId, null)
  waiting.destroy()
  paused.destroy()
  mock.timers.reset()
})
