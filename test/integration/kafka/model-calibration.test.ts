/**
 * The model of Kafka's transactions, on which the simulation rests, beside a real broker: the same scripts have the same outcomes,
 * step by step, in both levels of `transaction.version`.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { BrokerConnection } from '../../../operators/kafka/broker-connection.ts'
import { parseBrokers } from '../../../operators/kafka/kafka-connection.ts'
import { loadKafkajs } from '../../../operators/kafka/kafkajs-internals.ts'
import { findCoordinatorRequest } from '../../../operators/kafka/protocol-requests.ts'
import { modelStage } from '../../simulation/kafka-model/model-stage.ts'
import { randomScripts, scripts } from '../../simulation/kafka-model/script-corpus.ts'
import { runScript } from '../../simulation/kafka-model/transaction-script.ts'
import type { Script } from '../../simulation/kafka-model/transaction-script.ts'
import { skipWithoutKafka, startKafka } from '../../support/kafka/start-kafka.ts'
import type { RunningKafka } from '../../support/kafka/start-kafka.ts'
import { freshTopic } from '../../support/kafka/topics.ts'

const skip = skipWithoutKafka()
const randomSeed = Number(process.env['MILLRACE_SCRIPTS_SEED'] ?? 17)
const randomCount = Number(process.env['MILLRACE_SCRIPTS'] ?? 30)

for (const version of [0, 2] as const) {
  describe(`transaction.version ${version}`, { skip, timeout: 240_000 }, () => {
    let kafka: RunningKafka
    let link: BrokerConnection
    let topic: string
    let scriptCount = 0
    before(async () => {
      kafka = await startKafka({
        features: { 'transaction.version': version },
        properties: { 'transaction.abort.timed.out.transaction.cleanup.interval.ms': 100 },
      })
      topic = await freshTopic(kafka.bootstrap, 2 * (randomCount + Object.keys(scripts).length))
      const [address] = parseBrokers([kafka.bootstrap])
      assert.ok(address !== undefined)
      link = new BrokerConnection(loadKafkajs(), address, { brokers: [kafka.bootstrap] })
      // whoever asks first where coordinators are has their topics made
      for (const of of ['group', 'transaction'] as const) {
        while ((await link.send(findCoordinatorRequest('any', of))).errorCode !== 0) await sleep(50)
      }
    })
    after(async () => {
      link.close()
      await kafka.stop()
    })

    async function compare(script: Script): Promise<void> {
      const number = scriptCount++
      const expected = await runScript(script, {
        link,
        topic,
        firstPartition: 2 * number,
        prefix: `script-${number}`,
        wait: sleep,
      })
      const modelled = await runScript(script, modelStage(version))
      const told = (outcomes: readonly string[]): string[] =>
        outcomes.map((outcome, index) => `${JSON.stringify(script[index])} -> ${outcome}`)
      assert.deepEqual(told(modelled), told(expected))
    }

    for (const [name, script] of Object.entries(scripts)) test(name, () => compare(script))

    test(`${randomCount} random scripts`, async () => {
      for (const script of randomScripts(randomSeed, randomCount)) await compare(script)
    })
  })
}
