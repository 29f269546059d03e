/** Runs one stream of a job under a scripted clock and answers its rows, in the order they came to a sink of parallelism 1. */
import { arraySink, job } from 'millrace'
import type { DataStream, Env } from 'millrace'
import { runTest } from 'millrace/testing'

export async function rowsOf<T>(
  build: (env: Env) => DataStream<T>,
  options: { readonly parallelism?: number } = {},
): Promise<T[]> {
  const rows: T[] = []
  const tested = job('tested', (env) => {
    build(env).rebalance().to('rows', arraySink(rows), { parallelism: 1 })
  })
  await runTest(tested, options)
  return rows
}
