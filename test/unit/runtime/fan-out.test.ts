/** A value that several operators get is a value of its own for each, whatever stands at the beginning of their chains. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { arraySink, fromArray, job } from 'millrace'
import type { DataStream } from 'millrace'
import { runTest } from 'millrace/testing'

interface Box {
  n: number
  seen: string
}

const add = (name: string) => (box: Box) => {
  box.seen += name
  return box
}

test('what one branch changes no other sees, behind filters or not', async () => {
  const branches: Record<string, (boxes: DataStream<Box>) => DataStream<Box>> = {
    a: (boxes) => boxes.map(add('a')),
    b: (boxes) => boxes.filter(({ n }) => n > 1).map(add('b')),
    c: (boxes) =>
      boxes
        .filter(({ n }) => n > 0)
        .filter(({ n }) => n < 3)
        .map(add('c')),
    // kept by its sink as it is
    d: (boxes) => boxes.filter(() => true),
    e: (boxes) => boxes.filter(() => true).map(add('e')),
  }
  const out = new Map(Object.keys(branches).map((name) => [name, [] as Box[]]))
  const tested = job('branches', (env) => {
    const boxes = env.from('boxes', fromArray<Box>([1, 2, 3].map((n) => ({ n, seen: '' }))))
    for (const [name, branch] of Object.entries(branches)) {
      branch(boxes).to(name, arraySink(out.get(name) as Box[]))
    }
  })

  await runTest(tested)

  const seen = [...out].map(([name, rows]) => [
    name,
    rows.map((box) => `${box.n}${box.seen}`).join(),
  ])
  assert.deepEqual(Object.fromEntries(seen), {
    a: '1a,2a,3a',
    b: '2b,3b',
    c: '1c,2c',
    d: '1,2,3',
    e: '1e,2e,3e',
  })
})
