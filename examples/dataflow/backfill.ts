/**
 * Backfills (3.3.1): what computes the results of today also computes those of last year. The logic is a function of streams; it takes
 * a bounded one as well as one without end, nothing is written twice, and both come to the same.
 */
import { fromArray, job, outOfOrder, tumbling } from 'millrace'
import type { DataStream } from 'millrace'
import { testSource } from 'millrace/testing'
import { anywhere, at, play } from './play.ts'

interface Sale {
  readonly shop: string
  readonly cents: number
  readonly atMs: number
}

function sumUp(sales: DataStream<Sale>): void {
  sales
    .keyBy((sale) => sale.shop)
    .window(tumbling({ size: '6h' }))
    .sum('sums', (sale) => sale.cents)
    .to('results', anywhere)
}

const sales: readonly Sale[] = [
  { shop: 'north', cents: 500, atMs: at('11:59') },
  { shop: 'north', cents: 250, atMs: at('12:01') },
  { shop: 'north', cents: 100, atMs: at('09:00') },
]

const backfill = job('backfill', (env) => {
  sumUp(
    env.from('archive', fromArray(sales), {
      timestampMs: (sale) => sale.atMs,
      // an archive has an end, and may be in no order at all
      watermarks: outOfOrder({ delay: '1000d' }),
    }),
  )
})

const arriving = testSource<Sale>().advanceTo(at('12:10'))
for (const value of sales) arriving.emit({ value, timestampMs: value.atMs })
arriving.watermark(at('12:00')).advanceTo(at('18:10')).end()
const live = job('live', (env) => sumUp(env.from('sales', arriving)))

await play(backfill)
await play(live)

/* prints
00:00:00  north 06:00:00-12:00:00 +600 on-time
00:00:00  north 12:00:00-18:00:00 +250 on-time
12:10:00  north 06:00:00-12:00:00 +600 on-time
18:10:00  north 12:00:00-18:00:00 +250 on-time
*/
