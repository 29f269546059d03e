/** Keys for tests: an arbitrary for all of them. */
import fc from 'fast-check'
import type { AnyKey, KeyPart } from '../../src/core/key.ts'
import { anyBigint, anyNumber, anyString } from './values.ts'

/** Any part of a key. */
export const anyKeyPart: fc.Arbitrary<KeyPart> = fc.oneof(
  anyNumber.filter((number) => !Number.isNaN(number)),
  anyBigint,
  fc.boolean(),
  anyString,
)

/** Any key: a part, a tuple of parts, or the key of a stream that is not keyed. */
export const anyKey: fc.Arbitrary<AnyKey> = fc.oneof(
  { weight: 6, arbitrary: anyKeyPart },
  {
    weight: 3,
    arbitrary: fc
      .tuple(anyKeyPart, fc.array(anyKeyPart, { maxLength: 4 }))
      .map(([first, rest]): AnyKey => [first, ...rest]),
  },
  { weight: 1, arbitrary: fc.constant(null) },
)

/** Two keys that are often alike: the second is the first but for its end, or one of the same kind. */
export const twoKeys: fc.Arbitrary<readonly [AnyKey, AnyKey]> = fc.oneof(
  fc.tuple(anyKey, anyKey),
  fc
    .tuple(anyString, anyString, anyString)
    .map(([start, a, b]): readonly [AnyKey, AnyKey] => [start + a, start + b]),
  fc
    .tuple(anyString, fc.array(anyString, { maxLength: 2 }), fc.array(anyString, { maxLength: 2 }))
    .map(([start, a, b]): readonly [AnyKey, AnyKey] => [
      [start, ...a],
      [start, ...b],
    ]),
  fc
    .tuple(anyBigint, fc.bigInt({ min: -2n, max: 2n }))
    .map(([a, off]): readonly [AnyKey, AnyKey] => [a, a + off]),
  fc.tuple(anyBigint, anyBigint),
  fc.tuple(anyString, anyString),
)
