import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { PartOwner } from '../../../../operators/files/part-name.ts'
import {
  extensionOf,
  finalName,
  formerLife,
  isSameAttempt,
  isSameSink,
  openName,
  parseHidden,
  stagedName,
} from '../../../../operators/files/part-name.ts'

const owner: PartOwner = { jobName: 'views', operatorUid: 'out', attempt: 'r1', subtaskIndex: 2 }

/** Names made to be mistaken for each other. */
const anyText = fc
  .array(fc.constantFrom('a', 'b', '-', '.', '%', '2', '00001', '%2E', '/', 'é', '.open'), {
    maxLength: 5,
  })
  .map((parts) => parts.join(''))
const anyOwner: fc.Arbitrary<PartOwner> = fc.record({
  jobName: anyText,
  operatorUid: anyText,
  attempt: anyText,
  subtaskIndex: fc.nat(3),
})

test('names are as they are written down', () => {
  assert.equal(stagedName(owner, 7), '.part-views.out.r1.2.7')
  assert.equal(openName(stagedName(owner, 7)), '.part-views.out.r1.2.7.open')
  assert.equal(
    finalName(owner, { checkpointId: 42, n: 1, life: 1, extension: 'jsonl' }),
    'part-out-0000000000000042-00002-00001-r1.jsonl',
  )
  assert.equal(
    finalName(owner, { checkpointId: 42, n: 1, life: 3, extension: 'jsonl' }),
    'part-out-0000000000000042-00002-00001-r1~3.jsonl',
  )
  assert.equal(
    stagedName({ ...owner, operatorUid: 'a.b/é' }, 0),
    '.part-views.a%2Eb%2F%C3%A9.r1.2.0',
  )
  assert.deepEqual(['json', 'text', 'messagePack', 'a/b'].map(extensionOf), [
    'jsonl',
    'txt',
    'messagePack',
    'a%2Fb',
  ])
})

test('a hidden name tells whose it is, whatever the names of others', () => {
  fc.assert(
    fc.property(anyOwner, anyOwner, fc.nat(20), fc.boolean(), (one, other, n, isOpen) => {
      const name = isOpen ? openName(stagedName(one, n)) : stagedName(one, n)
      const part = parseHidden(name)
      assert.ok(part)
      assert.equal(part.isOpen, isOpen)
      assert.deepEqual([part.subtaskIndex, part.n], [one.subtaskIndex, n])
      assert.equal(
        isSameSink(part, other),
        one.jobName === other.jobName && one.operatorUid === other.operatorUid,
      )
      assert.equal(isSameAttempt(part, other), one.attempt === other.attempt)
    }),
    { numRuns: 2000 },
  )
})

test('no two files have one name', () => {
  const anyFile = fc.tuple(anyOwner, fc.integer({ min: 1, max: 11 }), fc.nat(11))
  fc.assert(
    fc.property(anyFile, anyFile, ([a, checkpointA, nA], [b, checkpointB, nB]) => {
      const staged = (o: PartOwner, n: number): string => stagedName(o, n)
      const isSameStaged =
        a.jobName === b.jobName &&
        a.operatorUid === b.operatorUid &&
        a.attempt === b.attempt &&
        a.subtaskIndex === b.subtaskIndex &&
        nA === nB
      assert.equal(staged(a, nA) === staged(b, nB), isSameStaged)
      // within a run: the attempt is one, and unique among runs
      const final = (o: PartOwner, checkpointId: number, n: number): string =>
        finalName({ ...o, attempt: 'r1' }, { checkpointId, n, life: 1, extension: 'x' })
      const isSameFinal =
        a.operatorUid === b.operatorUid &&
        checkpointA === checkpointB &&
        a.subtaskIndex === b.subtaskIndex &&
        nA === nB
      assert.equal(final(a, checkpointA, nA) === final(b, checkpointB, nB), isSameFinal)
    }),
    { numRuns: 3000 },
  )
})

test('final names sort by checkpoint, subtask and order of writing', () => {
  const name = (checkpointId: number, subtaskIndex: number, n: number): string =>
    finalName({ ...owner, subtaskIndex }, { checkpointId, n, life: 1, extension: 'x' })
  const inOrder = [
    name(2, 0, 0),
    name(2, 0, 9),
    name(2, 0, 10),
    name(2, 10, 0),
    name(10, 2, 0),
    name(10, 10, 0),
    name(1_000_000, 0, 0),
    name(Number.MAX_SAFE_INTEGER, 0, 0),
  ]
  assert.deepEqual(inOrder.toSorted(), inOrder)
})

test('names of other files are no hidden parts', () => {
  for (const name of [
    'part-a',
    '.part-',
    '.part-a.b.c.1',
    '.part-a.b.c.1.x',
    '.part-a.b.c.1.2.gz',
    '.x',
  ]) {
    assert.equal(parseHidden(name), undefined, name)
  }
})

test('what a former life under the same name left is seen, and nothing else is taken for it', () => {
  fc.assert(
    fc.property(
      anyOwner,
      fc.array(anyOwner),
      fc.array(fc.tuple(fc.nat(5), fc.boolean())),
      (self, others, leftovers) => {
        const isOther = (other: PartOwner): boolean =>
          other.jobName !== self.jobName ||
          other.operatorUid !== self.operatorUid ||
          other.attempt !== self.attempt ||
          other.subtaskIndex !== self.subtaskIndex
        const own = leftovers.map(([n, isOpen]) => {
          const staged = stagedName(self, n)
          return isOpen ? openName(staged) : staged
        })
        const foreign = others.filter(isOther).map((other) => stagedName(other, 9))
        const { hidden, nextN } = formerLife(self, [...foreign, ...own, '.keep', 'part-', 'x'])
        assert.deepEqual(hidden, own)
        assert.equal(nextN, Math.max(-1, ...leftovers.map(([n]) => n)) + 1)
      },
    ),
    { numRuns: 500 },
  )
})

test('the final names of a life meet none that were there before it', () => {
  fc.assert(
    fc.property(
      anyOwner,
      fc.array(fc.tuple(anyOwner, fc.integer({ min: 1, max: 4 })), { maxLength: 6 }),
      (self, others) => {
        const name = (owner: PartOwner, life: number): string =>
          finalName(owner, { checkpointId: 1, n: 0, life, extension: 'txt' })
        const names = [...others.map(([other, life]) => name(other, life)), name(self, 1)]
        const { life } = formerLife(self, names)
        assert.equal(names.includes(name(self, life)), false)
        assert.equal(formerLife({ ...self, attempt: `${self.attempt}x` }, [name(self, 1)]).life, 1)
      },
    ),
    { numRuns: 1000 },
  )
  assert.equal(formerLife(owner, ['part-out-x', 'part-out-1-2-3-r1~9.txt.gz', 'part-']).life, 1)
})
