/**
 * A process that finds another kafkajs than the one whose connections are known, and copies a topic: `node other-kafkajs-child.js
 * <json of KafkajsCopy>`. Says in its last line what became of it.
 */
import Module from 'node:module'
import { tmpdir } from 'node:os'
import { mkdtemp, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'

/** What is copied where. */
export interface KafkajsCopy {
  readonly bootstrap: string
  readonly input: string
  readonly output: string
  readonly guarantee: 'at-least-once' | 'exactly-once'
}

/** The last line, as JSON. */
export interface CopyOutcome {
  readonly code: string | undefined
  readonly warnings: readonly string[]
}

type Load = (this: unknown, request: string, ...rest: unknown[]) => unknown

async function main({ bootstrap, input, output, guarantee }: KafkajsCopy): Promise<void> {
  const load = Reflect.get(Module, '_load') as Load
  const other: Load = function (request, ...rest) {
    const found = load.call(this, request, ...rest)
    return request === 'kafkajs/package.json' ? { ...Object(found), version: '2.3.0' } : found
  }
  Reflect.set(Module, '_load', other)
  const { job, run, text, isEngineError } = await import('millrace')
  const { kafkaSink, kafkaSource } = await import('../../../operators/kafka/index.ts')
  const directory = await mkdtemp(join(tmpdir(), 'millrace-other-kafkajs-'))
  const warnings: string[] = []
  let code: string | undefined
  const brokers = [bootstrap]
  const copy = job('copy', (env) => {
    env
      .from('in', kafkaSource({ brokers, topics: [input], value: text(), endAt: 'latest' }))
      .to('out', kafkaSink({ brokers, topic: output, value: text(), guarantee }))
  })
  try {
    await run(copy, {
      checkpoints: { directory, interval: '300ms' },
      logger: { info: () => {}, warn: (message) => warnings.push(message), error: () => {} },
    })
  } catch (error) {
    code = isEngineError(error) ? error.code : String(error)
  }
  await rm(directory, { recursive: true, force: true })
  console.log(JSON.stringify({ code, warnings } satisfies CopyOutcome))
  process.exit()
}

const [, script, argument] = process.argv
const isMain = script !== undefined && basename(script).startsWith('other-kafkajs-child')
if (isMain && argument !== undefined) await main(JSON.parse(argument) as KafkajsCopy)
