/**
 * Operators of a chain, as a job runs them: nanoseconds of processor time a record, source and sink included. The first line is
 * what those two cost by themselves.
 *
 *   node dist/bench/runtime/chain.bench.js [records=1000000] [rounds=5]
 */
import type { DataStream } from 'millrace'
import { printJob } from '../micro/jobs.ts'

const record = (index: number): number => index

await printJob({ name: 'chain/source and sink', record, build: (numbers) => numbers })
for (const maps of [1, 10, 50]) {
  await printJob({
    name: `chain/${maps} ${maps === 1 ? 'map' : 'maps'}`,
    record,
    build(numbers) {
      let stream: DataStream<number> = numbers
      for (let n = 0; n < maps; n++) stream = stream.map((value) => value + 1)
      return stream
    },
  })
}
await printJob({
  name: 'chain/filter that lets half pass',
  record,
  build: (numbers) => numbers.filter((value) => value % 2 === 0),
})
await printJob({
  name: 'chain/flatMap into two',
  record,
  build: (numbers) => numbers.flatMap((value) => [value, value + 1]),
})
await printJob({
  name: 'chain/map into an object',
  record,
  build: (numbers) => numbers.map((value) => ({ value, double: value * 2 })),
})
