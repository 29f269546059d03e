/**
 * Billing (3.3.3): triggers, accumulation, retractions. Usage per customer and hour is told as soon as the hour is complete, and put
 * right when usage comes late. Behind it customers are counted by how much they used, per hour: the retraction takes a customer out
 * of the group in which the correction no longer is.
 */
import { afterCount, afterWatermark, job, mapSink, tumbling } from 'millrace'
import { testSource } from 'millrace/testing'
import { anywhere, at, play } from './play.ts'

interface Usage {
  readonly customer: string
  readonly units: number
}

const usage = (customer: string, clock: string, units: number) => ({
  value: { customer, units },
  timestampMs: at(clock),
})

const meter = testSource<Usage>()
  .advanceTo(at('10:00'))
  .emit(usage('ann', '09:10', 30), usage('bob', '09:20', 200), usage('ann', '09:50', 40))
  .watermark(at('10:00'))
  .advanceTo(at('10:05'))
  .emit(usage('ann', '09:55', 50))
  .advanceTo(at('12:00'))
  .end()

const customersPerGroup = new Map<string, { readonly key: string; readonly value: number }>()

await play(
  job('billing', (env) => {
    const bills = env
      .from('usage', meter)
      .keyBy((each) => each.customer)
      .window(tumbling({ size: '1h' }), {
        trigger: afterWatermark({ late: afterCount(1) }),
        allowedLateness: '31d',
        accumulation: 'retracting',
      })
      .sum('usage-per-hour', (each) => each.units)
    bills.to('bills', anywhere)
    bills
      .keyBy(({ value }) => (value > 100 ? 'over 100 units' : 'up to 100 units'))
      .count('customers-per-group')
      .to(
        'groups',
        mapSink(customersPerGroup, (row) => row.key),
      )
  }),
)
for (const { key, value } of customersPerGroup.values()) console.log(`${key}: ${value}`)

/* prints
10:00:00  ann 09:00:00-10:00:00 +70 on-time
10:00:00  bob 09:00:00-10:00:00 +200 on-time
10:05:00  ann 09:00:00-10:00:00 -70 on-time
10:05:00  ann 09:00:00-10:00:00 +120 late
over 100 units: 2
*/
