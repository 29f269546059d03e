/** What every microbenchmark does: `ms=200` as an argument says how long each is run, and the medians are printed. */
import { Bench } from 'tinybench'

const TIME_MS_DEFAULT = 1000

/** Arguments as `name=value`. */
export const options: ReadonlyMap<string, string> = new Map(
  process.argv.slice(2).map((argument) => argument.split('=') as [string, string]),
)

export function newBench(): Bench {
  const time = Number(options.get('ms') ?? TIME_MS_DEFAULT)
  return new Bench({ time, warmupTime: time / 4 })
}

/** Runs and prints: a line for each task, `name  12.3 ns a record`. `count`: of those in one call of each task. */
export async function report(bench: Bench, count: number, unit: string): Promise<void> {
  await bench.run()
  for (const { name, result } of bench.tasks) {
    if ('error' in result) throw result.error
    const medianMs = 'latency' in result ? result.latency.p50 : NaN
    print(name, (medianMs * 1e6) / count, unit)
  }
}

export function print(name: string, ns: number, unit: string): void {
  console.log(`${name.padEnd(48)} ${ns.toFixed(1).padStart(9)} ns ${unit}`)
}
